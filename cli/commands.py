"""Every command of `sluice`, by what people do with it."""

from collections.abc import Iterator, Mapping

SECTIONS: Mapping[str, Mapping[str, str]] = {
    "Run the stack": {
        "demo": "Start the local stack with a simulated fleet, and show what happens.",
        "up": "Start the local stack in the background.",
        "down": "Stop the local stack and remove its data.",
        "simulate": "Post to the local stack as a simulated fleet does.",
        "doctor": "List what this machine lacks for the local stack.",
    },
    "Look": {
        "status": "Show how a stage is doing.",
        "query": "Run a query over the lake.",
        "statement": "Account for every event of a day.",
        "trace": "Show what became of an event.",
        "dead-letters": "List what was refused or given up; group, explain, fix and re-drive it.",
        "alerts": "Incidents: list, show, acknowledge, resolve and silence them.",
        "detect": "Try the rules for anomalies on stored data, or on a file.",
        "canary": "Post as devices do and read the results back.",
        "smoke": "Check on a deployed stage what no local test can show.",
    },
    "Repair": {
        "rerun": "Run a consumer again on records.",
        "replay": "Compute the past again from raw events: plan, apply, watch, cancel.",
        "restored": "Say what the database lacks after a restore.",
        "allow": "Allow a halted consumer more dead letters.",
        "notifications": "List notifications that were given up, send them again, or discard them.",
    },
    "Administer": {
        "fleet": "List, create, change and archive fleets.",
        "key": "List, create, rotate and revoke fleets' keys.",
        "rules": "List, create, change and archive the rules that open incidents.",
        "schema": "Check a new version of a contract, and show the released ones.",
        "destinations": "List, create, change, test and archive where people are notified.",
        "audit": "Show who changed which fleet, key or rule, and whether anyone altered that since.",
        "profile": "Remember deployed stages by a name.",
    },
    "Cost": {
        "cost": "What a deployment costs a month.",
    },
}
"""A line each: a command is the function `run` of its module in cli/, a group the app of cli.<name>.command."""

COMMANDS: Mapping[str, str] = {name: line for listed in SECTIONS.values() for name, line in listed.items()}

OPTIONS: Mapping[str, str] = {
    "--install-completion": "Install completion for the shell that runs this.",
    "--show-completion": "Print that completion, to install it by hand.",
    "--version": "Print the version.",
    "-h, --help": "Print this list, or behind a command its options.",
}


def name_module(command: str) -> str:
    """Name the module of a command: a module's name has no dashes."""
    return f"cli.{command.replace('-', '_')}"


def write_help() -> Iterator[str]:
    """Write the list of commands, line by line."""
    yield "Usage: sluice COMMAND ..."
    for section, listed in {**SECTIONS, "Options": OPTIONS}.items():
        width = max(map(len, listed))
        yield ""
        yield f"{section}:"
        for name, line in listed.items():
            yield f"  {name:{max(width, 10)}}  {line}"
