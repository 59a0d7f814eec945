# SPDX-License-Identifier: MIT
"""The files for who runs a program, deploy/prometheus and deploy/otel-collector: promtool
takes them, the rules ask for metrics that there are and fire when they should, the collector's
pipelines name what is defined."""
import json
import os
import re
import sys

sys.dont_write_bytecode = True
from admin import admin_server  # noqa: E402
from configurations import load, names, promtool  # noqa: E402
from support import SOURCE_DIR, Suite, check, equal  # noqa: E402

suite = Suite("deploy")
PROMETHEUS = os.path.join(SOURCE_DIR, "deploy", "prometheus")
SCRAPE = os.path.join(PROMETHEUS, "prometheus.yml")
RULES = os.path.join(PROMETHEUS, "srun.rules.yml")
COLLECTOR = os.path.join(SOURCE_DIR, "deploy", "otel-collector", "config.yaml")
README = os.path.join(SOURCE_DIR, "deploy", "README.md")
PORT = "127.0.0.1:8778"
BY_PROMETHEUS = {"up"}  # made by who scrapes


def rules():
    return [rule for group in load(RULES)["groups"] for rule in group["rules"]]


@suite.test
def promtool_takes_the_configuration_and_the_rules(folder):
    del folder
    promtool("check", "config", SCRAPE)
    promtool("check", "rules", RULES)


@suite.test
def every_metric_of_the_rules_is_told(folder):
    with admin_server(folder, {"SRUN_HEALTH": "true"}) as server:
        text = server.get("/metrics").body.decode()
        equal(server.stop(), 0, "exit code")
    told = set(re.findall(r"^(\w+)[{ ]", text, re.M)) | BY_PROMETHEUS
    asked = set().union(*(names(rule["expr"]) for rule in rules()))
    check(len(asked) >= 10, f"the rules ask for {sorted(asked)} only")
    equal(sorted(asked - told), [], "not told")


@suite.test
def the_labels_of_the_summaries_are_told(folder):
    del folder
    for rule in rules():
        used = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
        known = {"job", "instance"}
        if "srun_service_" in rule["expr"] or "srun_health_status" in rule["expr"]:
            known.add("service")
        equal(used - known, set(), rule["alert"])


# What a program tells, minute by minute, and the alert that has to come of it.
PROGRAM = 'job="ledger", instance="127.0.0.1:8778"'
CASES = (
    ("SrunDown", {f"up{{{PROGRAM}}}": "1 0x20"}),
    ("SrunNotReady", {f"srun_ready{{{PROGRAM}}}": "1 0x20"}),
    ("SrunUnhealthy", {f"srun_health_overall{{{PROGRAM}}}": "4 2x20"}),
    ("SrunServiceUnhealthy", {f'srun_health_status{{{PROGRAM}, service="a"}}': "4 2x20"}),
    ("SrunServiceRestarts", {f'srun_service_restarts_total{{{PROGRAM}, service="a"}}': "0 1x20"}),
    ("SrunUpgradeRolledBack", {f"srun_upgrade_rolled_back_total{{{PROGRAM}}}": "0 1x20"}),
    ("SrunUpgradeFailed", {f"srun_upgrade_failed_total{{{PROGRAM}}}": "0 1x20"}),
    ("SrunDescriptorsNearLimit", {f"process_open_fds{{{PROGRAM}}}": "10 900x20",
                                  f"process_max_fds{{{PROGRAM}}}": "1024x20",
                                  f"srun_info{{{PROGRAM}}}": "1x20"}),
    ("SrunMemoryNearLimit", {f"process_resident_memory_bytes{{{PROGRAM}}}": "1e6 5e8x20",
                             f"srun_info{{{PROGRAM}}}": "1x20"}),
    ("SrunLogRecordsLost", {f"srun_log_records_lost_total{{{PROGRAM}}}": "0 1x20"}),
)
QUIET = {"up": 1, "srun_ready": 1, "srun_service_restarts_total": 7,
         "srun_upgrade_rolled_back_total": 7, "srun_upgrade_failed_total": 7, "process_open_fds": 10, "process_max_fds": 1024,
         "process_resident_memory_bytes": 1e6, "srun_log_records_lost_total": 7, "srun_info": 1}


def firing(folder, series, alerts):
    """Which of the alerts fire after ten minutes, by promtool's `test rules`."""
    path = os.path.join(folder, "rules_test.yml")
    queries = [{"expr": f'count(ALERTS{{alertname="{alert}", alertstate="firing"}}) or vector(0)',
                "eval_time": "10m",
                "exp_samples": [{"labels": "{}", "value": fires}]}
               for alert, fires in alerts.items()]
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"rule_files": [RULES], "evaluation_interval": "1m", "tests": [{
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "promql_expr_test": queries}]}, file)
    promtool("test", "rules", path)


@suite.test
def each_alert_fires_and_no_other(folder):
    every = [rule["alert"] for rule in rules()]
    equal(sorted(alert for alert, _ in CASES), sorted(every), "alerts with a case")
    for alert, series in CASES:
        firing(folder, series, {other: int(other == alert) for other in every})


@suite.test
def no_alert_fires_while_all_is_well(folder):
    series = {f"{name}{{{PROGRAM}}}": f"{value}x20" for name, value in QUIET.items()}
    for health in (0, 1, 3, 4):  # unknown, stopped, degraded, healthy
        for name in ("srun_health_overall", "srun_health_status"):
            series[f"{name}{{{PROGRAM}}}"] = f"{health}x20"
        firing(folder, series, {rule["alert"]: 0 for rule in rules()})


@suite.test
def an_upgrade_fires_nothing(folder):
    """Its counters begin anew."""
    counters = [name for name in QUIET if name.endswith("_total")]
    series = {f"{name}{{{PROGRAM}}}": "7x5 0x15" for name in counters}
    series[f"srun_ready{{{PROGRAM}}}"] = "1x5 0 1x15"
    firing(folder, series, {rule["alert"]: 0 for rule in rules()})


@suite.test
def what_others_tell_of_their_processes_is_not_looked_at(folder):
    other = 'job="other", instance="127.0.0.1:9100"'
    firing(folder, {f"process_open_fds{{{other}}}": "1000x20",
                    f"process_max_fds{{{other}}}": "1024x20",
                    f"process_resident_memory_bytes{{{other}}}": "5e8x20"},
           {"SrunDescriptorsNearLimit": 0, "SrunMemoryNearLimit": 0})


@suite.test
def the_collector_names_only_what_it_defines(folder):
    del folder
    config = load(COLLECTOR)
    used = {kind: set() for kind in ("receivers", "processors", "exporters")}
    for name, pipeline in config["service"]["pipelines"].items():
        check(name.split("/")[0] in ("traces", "metrics", "logs"), name)
        for kind, seen in used.items():
            seen.update(pipeline.get(kind, []))
        check(pipeline["receivers"] and pipeline["exporters"], name)
    for kind, seen in used.items():
        equal(sorted(seen), sorted(config[kind]), kind + " that are used and defined")


@suite.test
def all_speak_of_the_same_addresses(folder):
    del folder
    collector, prometheus = load(COLLECTOR)["receivers"], load(SCRAPE)
    protocols = collector["otlp"]["protocols"]
    for configuration in (collector["prometheus"]["config"], prometheus):
        (job,) = configuration["scrape_configs"]
        equal((job["metrics_path"], job["static_configs"]), ("/metrics", [{"targets": [PORT]}]))
        down = next(rule for rule in rules() if rule["alert"] == "SrunDown")
        check(f'job="{job["job_name"]}"' in down["expr"], down["expr"])
    with open(README, encoding="utf-8") as file:
        told = set(re.findall(r"EXPORTER=(\w+) SRUN_OTEL_\w+_ENDPOINT=http://(\S+)", file.read()))
    equal(told, {(kind, protocols[kind]["endpoint"]) for kind in ("http", "grpc")}, "endpoints")


suite.main()
