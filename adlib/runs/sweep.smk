# A run is a file: run.json, which only whole runs have. The plan is written by adlib/sweep.py.
import json

with open(config["plan"]) as file:
    PLAN = {run["folder"]: run for run in json.load(file)["runs"]}


def planned(name):
    return lambda wildcards: PLAN[wildcards.folder][name]


rule all:
    input: [f"{folder}/run.json" for folder in PLAN]


rule run:
    output: "{folder}/run.json"
    log: "{folder}/log.txt"
    threads: planned("threads")
    resources:
        mem_mb=planned("mem_mb"),
        **{f"slot{i}": lambda wildcards, i=i: int(PLAN[wildcards.folder]["slot"] == i) for i in range(config["slots"])},
    params: command=planned("command")
    shell: "( {params.command} ) > {log} 2>&1 || {{ echo $? > {log}.failed; exit 1; }}"
