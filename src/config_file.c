/* SPDX-License-Identifier: MIT
 *
 * The srun: section, read from libyaml's events with the table of knobs as the schema. Control
 * thread, before any other thread exists. Bounded: 1 MiB, 32 levels, no aliases, no recursion.
 * Never blocks, and reads nothing but regular files.
 */
#include "config_file.h"

#include "base/auto.h"
#include "base/ensure.h"
#include "base/text.h"
#include "knobs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <yaml.h>

/* How many collections are open where a key or a value of ours stands. */
enum { AT_ROOT, AT_TOP, AT_SECTION, AT_GROUP };

struct reader {
    struct config *config;
    const char *path;
    srun_err *err;

    size_t line;      /* of the event at hand, from 1 */
    unsigned depth;   /* open collections */
    unsigned foreign; /* the depth of a collection that is not ours; 0: in none */
    unsigned documents;
    bool have_key;   /* the next node is a value */
    bool in_section; /* the key at the top was srun */
    bool seen_section;
    const char *group, *key; /* of the knobs, at hand */
    size_t knob;
    uint64_t seen_groups, seen_knobs; /* a bit for each knob; a group counts as its first */
};

__attribute__((format(printf, 2, 3))) static int refuse(const struct reader *reader,
                                                        const char *format, ...)
{
    enum { SHOWN = 64 };
    char text[sizeof reader->err->text];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments); /* cut to what an error holds */
    va_end(arguments);

    size_t size = strlen(reader->path);
    const char *path = size > SHOWN ? reader->path + size - SHOWN : reader->path;
    const char *cut = size > SHOWN ? "..." : "";
    if (reader->line == 0)
        return srun_fail(reader->err, SRUN_EUSAGE, "%s%s: %s", cut, path, text);
    return srun_fail(reader->err, SRUN_EUSAGE, "%s%s:%zu: %s", cut, path, reader->line, text);
}

/* What is being read: "srun", "srun.log", "srun.log.level". */
static const char *place(const struct reader *reader, char out[KNOB_TEXT_MAX])
{
    bool group = reader->depth == AT_GROUP || (reader->depth == AT_SECTION && reader->have_key);
    bool key = reader->depth == AT_GROUP && reader->have_key;
    (void)snprintf(out, KNOB_TEXT_MAX, "srun%s%s%s%s", group ? "." : "", group ? reader->group : "",
                   key ? "." : "", key ? reader->key : "");
    return out;
}

/* The name that the knob answers to at this depth; NULL: none, or the one before said it. */
static const char *name_at(const struct reader *reader, const struct knob *knobs, size_t i)
{
    if (reader->depth == AT_GROUP && reader->group != NULL)
        return strcmp(knobs[i].group, reader->group) == 0 ? knobs[i].key : NULL;
    // NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): each knob has a group
    return i > 0 && strcmp(knobs[i].group, knobs[i - 1].group) == 0 ? NULL : knobs[i].group;
}

static int unknown_key(const struct reader *reader, const char *key)
{
    char where[KNOB_TEXT_MAX];
    char quoted[TEXT_QUOTE_MAX];
    char all[128] = "";
    struct text_nearest nearest = {.word = key};
    size_t count = 0;
    size_t used = 0;
    const struct knob *knobs = knobs_all(&count);
    for (size_t i = 0; i < count; i++) {
        const char *name = name_at(reader, knobs, i);
        if (name == NULL)
            continue;
        text_nearest_offer(&nearest, name);
        if (used < sizeof all)
            used += (size_t)snprintf(all + used, sizeof all - used, "%s%s", used == 0 ? "" : ", ",
                                     name);
    }
    if (nearest.best != NULL)
        return refuse(reader, "%s: no such key %s: did you mean %s?", place(reader, where),
                      text_quote(quoted, key), nearest.best);
    return refuse(reader, "%s: no such key %s: accepted are %s", place(reader, where),
                  text_quote(quoted, key), all);
}

/* A key within srun: or within one of its groups. */
static int take_key(struct reader *reader, const char *key)
{
    char where[KNOB_TEXT_MAX];
    size_t count = 0;
    size_t i = 0;
    const struct knob *knobs = knobs_all(&count);
    ENSURE(count <= 64); /* a bit each */
    for (; i < count; i++) {
        const char *name = name_at(reader, knobs, i);
        if (name != NULL && strcmp(name, key) == 0)
            break;
    }
    if (i == count)
        return unknown_key(reader, key);

    uint64_t *seen = reader->depth == AT_GROUP ? &reader->seen_knobs : &reader->seen_groups;
    uint64_t bit = UINT64_C(1) << i;
    reader->group = knobs[i].group;
    reader->key = knobs[i].key;
    reader->knob = i;
    reader->have_key = true;
    if (*seen & bit)
        return refuse(reader, "%s: duplicate key: accepted is one", place(reader, where));
    *seen |= bit;
    return 0;
}

static int take_top_key(struct reader *reader, const char *key)
{
    reader->have_key = true;
    reader->in_section = strcmp(key, "srun") == 0;
    if (reader->in_section && reader->seen_section)
        return refuse(reader, "srun: duplicate key: accepted is one");
    reader->seen_section = reader->seen_section || reader->in_section;
    return 0;
}

static bool is_null(const yaml_event_t *event)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    if (event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (strcmp((const char *)event->data.scalar.value, words[i]) == 0)
            return true;
    return false;
}

static int wrong_type(const struct reader *reader, const char *what)
{
    char where[KNOB_TEXT_MAX];
    char accepted[KNOB_TEXT_MAX];
    size_t count = 0;
    if (reader->depth == AT_ROOT)
        return refuse(reader, "the file is %s: accepted is a mapping, as \"srun:\"", what);
    if (!reader->have_key)
        return refuse(reader, "%s: a key is %s: accepted is a name", place(reader, where), what);
    if (reader->depth != AT_GROUP)
        return refuse(reader, "%s is %s: accepted is a mapping", place(reader, where), what);
    return refuse(reader, "%s is %s: accepted are %s", place(reader, where), what,
                  knob_accepted(&knobs_all(&count)[reader->knob], accepted));
}

static int take_value(struct reader *reader, const yaml_event_t *event)
{
    char where[KNOB_TEXT_MAX];
    size_t count = 0;
    if (is_null(event))
        return 0; /* written, but not set */
    if (reader->depth != AT_GROUP)
        return wrong_type(reader, "a single value");

    /* The knob has the better words; refuse() puts file and line before them. */
    srun_err why = {0};
    (void)place(reader, where);
    int rc = knob_set(&knobs_all(&count)[reader->knob], reader->config,
                      (const char *)event->data.scalar.value, where, &why);
    if (rc == -ENOMEM)
        return srun_fail(reader->err, rc, "%s: out of memory", where);
    if (rc == 0)
        reader->config->origins[reader->knob] = CONFIG_FILE;
    return rc < 0 ? refuse(reader, "%s", why.text) : 0;
}

/* Whether the node at hand is the program's own business. */
static bool is_foreign(const struct reader *reader)
{
    return reader->foreign > 0 ||
           (reader->depth == AT_TOP && !(reader->have_key && reader->in_section));
}

static int on_scalar(struct reader *reader, const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    char where[KNOB_TEXT_MAX];
    int rc = 0;
    if (reader->foreign > 0)
        return 0;
    if (reader->depth == AT_TOP && !reader->have_key)
        return take_top_key(reader, text);
    if (!is_foreign(reader)) {
        if (strlen(text) != event->data.scalar.length)
            return refuse(reader, "%s: a NUL byte: accepted is text", place(reader, where));
        if (reader->depth >= AT_SECTION && !reader->have_key)
            return take_key(reader, text);
        rc = take_value(reader, event);
    }
    reader->have_key = false;
    return rc;
}

static int on_open(struct reader *reader, bool mapping)
{
    if (reader->depth == CONFIG_DEPTH_MAX)
        return refuse(reader, "nested too deeply: at most %d levels are read", CONFIG_DEPTH_MAX);
    if (is_foreign(reader)) {
        reader->depth++;
        if (reader->foreign == 0)
            reader->foreign = reader->depth;
        return 0;
    }
    bool fits = reader->depth == AT_ROOT || (reader->have_key && reader->depth < AT_GROUP);
    if (!mapping || !fits)
        return wrong_type(reader, mapping ? "a mapping" : "a list");
    reader->depth++;
    reader->have_key = false;
    return 0;
}

static int on_close(struct reader *reader)
{
    if (reader->foreign == reader->depth) {
        reader->foreign = 0;
        reader->have_key = !reader->have_key; /* it was a key, or a value */
        reader->in_section = false;
    } else if (reader->foreign == 0) {
        reader->have_key = false;
    }
    reader->depth--;
    return 0;
}

/* The anchor and the tag of a node, whatever it is. */
static int check_node(const struct reader *reader, const yaml_char_t *anchor,
                      const yaml_char_t *tag)
{
    char quoted[TEXT_QUOTE_MAX];
    if (anchor != NULL)
        return refuse(reader, "anchor %s: accepted are values written out, no & and no *",
                      text_quote(quoted, (const char *)anchor));
    if (tag != NULL && reader->depth != AT_ROOT && !is_foreign(reader))
        return refuse(reader, "tag %s: accepted are values without tags",
                      text_quote(quoted, (const char *)tag));
    return 0;
}

static int on_event(struct reader *reader, const yaml_event_t *event)
{
    int rc = 0;
    char quoted[TEXT_QUOTE_MAX];
    reader->line = event->start_mark.line + 1;
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        reader->documents++;
        return reader->documents > 1 ? refuse(reader, "a second document: accepted is one") : 0;
    case YAML_ALIAS_EVENT:
        return refuse(reader, "alias %s: accepted are values written out, no & and no *",
                      text_quote(quoted, (const char *)event->data.alias.anchor));
    case YAML_SCALAR_EVENT:
        rc = check_node(reader, event->data.scalar.anchor, event->data.scalar.tag);
        return rc < 0 ? rc : on_scalar(reader, event);
    case YAML_SEQUENCE_START_EVENT:
        rc = check_node(reader, event->data.sequence_start.anchor, event->data.sequence_start.tag);
        return rc < 0 ? rc : on_open(reader, false);
    case YAML_MAPPING_START_EVENT:
        rc = check_node(reader, event->data.mapping_start.anchor, event->data.mapping_start.tag);
        return rc < 0 ? rc : on_open(reader, true);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return on_close(reader);
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        break;
    }
    return 0;
}

static int bad_yaml(struct reader *reader, const yaml_parser_t *parser)
{
    if (parser->error == YAML_MEMORY_ERROR)
        return srun_fail(reader->err, -ENOMEM, "%s: out of memory", reader->path);
    if (parser->error != YAML_READER_ERROR)
        reader->line = parser->problem_mark.line + 1;
    return refuse(reader, "is not YAML: %s",
                  parser->problem == NULL ? "it cannot be read" : parser->problem);
}

static size_t line_at(const char *text, size_t offset)
{
    size_t line = 1;
    for (size_t i = 0; i < offset; i++)
        line += text[i] == '\n';
    return line;
}

static int check_size(const struct reader *reader, uintmax_t size)
{
    uintmax_t tenths = (size + 50000) / 100000;
    if (size > CONFIG_FILE_MAX)
        return refuse(reader, "is %ju.%ju MB, at most 1 MiB is read", tenths / 10, tenths % 10);
    return 0;
}

/* libyaml compares every %TAG with all before it: a file full of them would take seconds. */
static int check_directives(const struct reader *reader, const char *text, size_t size)
{
    enum { MANY = 64 };
    unsigned count = 0;
    const char *end = text + size;
    for (const char *at = text; (at = memmem(at, (size_t)(end - at), "%TAG", 4)) != NULL; at++)
        if (at == text || (unsigned char)at[-1] < ' ' || (unsigned char)at[-1] > '~')
            count++;
    if (count > MANY)
        return refuse(reader, "holds more than %d %%TAG directives", MANY);
    return 0;
}

/* Size and bytes, with better words than libyaml's. */
static int check_text(struct reader *reader, const char *text, size_t size)
{
    if (check_size(reader, size) < 0 || check_directives(reader, text, size) < 0)
        return SRUN_EUSAGE;
    size_t good = text_utf8_until(text, size);
    for (size_t i = 0; i < good; i++) {
        unsigned char byte = (unsigned char)text[i];
        if ((byte >= ' ' || byte == '\t' || byte == '\n' || byte == '\r') && byte != 0x7f)
            continue;
        reader->line = line_at(text, i);
        return refuse(reader, "holds a control byte, 0x%02x: accepted is text", byte);
    }
    if (good == size)
        return 0;
    reader->line = line_at(text, good);
    return refuse(reader, "is not UTF-8: the byte 0x%02x does not fit", (unsigned char)text[good]);
}

int config_file_parse(struct config *config, const char *text, size_t size, const char *path,
                      srun_err *err)
{
    srun_err own = {0};
    struct reader reader = {.config = config, .path = path, .err = err == NULL ? &own : err};
    int rc = check_text(&reader, text, size);
    if (rc < 0)
        return rc;

    __attribute__((cleanup(yaml_parser_delete))) yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return srun_fail(err, -ENOMEM, "%s: out of memory", path);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
    for (bool ended = false; rc == 0 && !ended;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event))
            return bad_yaml(&reader, &parser);
        rc = on_event(&reader, &event);
        ended = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    return rc;
}

/* Who starts a program with raised privileges (AT_SECURE) may name any file: what is in it would be
 * told in an error, or be done with these privileges. NULL: or why it is not to be read. */
static const char *not_for_starter(int fd, const struct stat *info)
{
    bool is_ours = info->st_uid == geteuid() && geteuid() != getuid();
    if (getauxval(AT_SECURE) == 0)
        return NULL;
    if ((info->st_uid != 0 && !is_ours) || (info->st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return "others may change it, and this program has raised privileges";
    if (faccessat(fd, "", R_OK, AT_EMPTY_PATH) < 0) /* by the real user */
        return "you may not read it, and this program has raised privileges";
    return NULL;
}

/* Opens what is a regular file; never waits for the other end of a FIFO. */
static int open_regular(const struct reader *reader, int *out)
{
    auto_close int fd = open(reader->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat info;
    if (fd < 0 || fstat(fd, &info) < 0)
        return refuse(reader, "%m");
    if (!S_ISREG(info.st_mode))
        return refuse(reader, "is %s: accepted is a regular file",
                      S_ISDIR(info.st_mode)    ? "a folder"
                      : S_ISFIFO(info.st_mode) ? "a FIFO"
                                               : "not a file");
    const char *why = not_for_starter(fd, &info);
    if (why != NULL)
        return refuse(reader, "%s", why);
    if (check_size(reader, (uintmax_t)info.st_size) < 0)
        return SRUN_EUSAGE;
    *out = take_fd(&fd);
    return 0;
}

int config_file_load(struct config *config, const char *path, srun_err *err)
{
    srun_err own = {0};
    struct reader reader = {.path = path, .err = err == NULL ? &own : err};
    auto_close int fd = -1;
    int rc = open_regular(&reader, &fd);
    if (rc < 0)
        return rc;
    auto_free char *text = malloc(CONFIG_FILE_MAX + 1);
    if (text == NULL)
        return srun_fail(err, -ENOMEM, "%s: out of memory", path);

    size_t size = 0;
    while (size <= CONFIG_FILE_MAX) {
        ssize_t got = read(fd, text + size, CONFIG_FILE_MAX + 1 - size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return refuse(&reader, "%m");
        if (got == 0)
            break;
        size += (size_t)got;
    }
    return config_file_parse(config, text, size, path, err);
}
