# SPDX-License-Identifier: MIT
# bash completion for srunctl(1). Asks no program: it knows the words, and looks where sockets lie.

_srunctl_names()
{
    local path runtime=${XDG_RUNTIME_DIR:-/run/user/$UID}
    for path in /run/*/admin.sock "$runtime"/*/admin.sock /tmp/*-"$UID"/admin.sock; do
        [ -S "$path" ] || continue
        path=${path%/admin.sock}
        path=${path##*/}
        printf '%s\n' "${path%-"$UID"}"
    done
    for path in "$runtime"/*.sock; do
        [ -S "$path" ] || continue
        path=${path##*/}
        printf '%s\n' "${path%.sock}"
    done
}

_srunctl_command()
{
    local i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        -s | -a | -n | -t | -c | --socket | --address | --name | --timeout | --token-file | \
            --ca-file | --count | --for | --seconds | -o | --output | --dir) ((i++)) ;;
        -*) ;;
        *)
            printf '%s\n' "${COMP_WORDS[i]}"
            return
            ;;
        esac
    done
}

_srunctl()
{
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    local commands='status services top wait health history timeline threads profile captures metrics config
        flags generations version log-level drain upgrade stop new help'
    local where='--socket --address --name --token-file --ca-file --timeout --help --version'
    local words command
    COMPREPLY=()
    case $before in
    -s | --socket | --token-file | --ca-file | -o | --output)
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
        ;;
    -n | --name)
        mapfile -t COMPREPLY < <(compgen -W "$(_srunctl_names)" -- "$word")
        return
        ;;
    --dir)
        mapfile -t COMPREPLY < <(compgen -d -- "$word")
        return
        ;;
    -a | --address | -t | --timeout | -c | --count | --for | --seconds) return ;;
    esac
    command=$(_srunctl_command)
    case $command in
    '') words=$commands ;;
    log-level) words='debug info warn error' ;;
    profile) words='cpu heap threads' ;;
    help) words=$commands ;;
    *) words= ;;
    esac
    if [[ $word == -* ]]; then
        case $command in
        wait) words="--ready --live --healthy --gone" ;;
        top) words="--count" ;;
        profile) words="--seconds --output" ;;
        captures) words="--json --output" ;;
        upgrade | stop) words="--wait --json" ;;
        drain) words="--off --json" ;;
        new) words="--dir" where='--help --version' ;; # it asks no program
        log-level) words="--for --json" ;;
        '' | metrics | help) words= ;;
        *) words="--json" ;;
        esac
        words="$words $where"
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

complete -F _srunctl srunctl
