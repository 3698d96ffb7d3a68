# A run of the plan that adlib/runs/sweep.py writes is a file here, NAME.done, and NAME is that plan's own: what a user
# or a data set chose (categories, folders, parameters) is read from the plan by the runner, and never stands in a shell.
import json

with open("plan.json", encoding="utf-8") as file:
    PLAN = json.load(file)


def planned(name):
    return lambda wildcards: PLAN["runs"][wildcards.run][name]


wildcard_constraints:
    run="[0-9a-z_-]+",


rule all:
    input: [f"{name}.done" for name in PLAN["runs"]]


rule run:
    output: "{run}.done"
    log: "{run}.log"
    threads: planned("threads")
    resources:
        mem_mb=planned("mem_mb"),
        **{f"slot{i}": lambda wildcards, i=i: int(PLAN["runs"][wildcards.run]["slot"] == i) for i in range(PLAN["slots"])},
    params: runner=PLAN["runner"]
    shell: "{params.runner:q} plan.json {wildcards.run} > {log} 2>&1 && touch {output} || {{ echo $? > {wildcards.run}.failed; exit 1; }}"
