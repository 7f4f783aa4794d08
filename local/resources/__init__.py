"""From the synthesized templates to a running stack: what each resource is here, and the models' config.

A start goes like this:

    assembly = Assembly.load(Path("cdk.out"))
    check(assembly)                               # an unknown resource type or property stops the start here, by name
    brokers = brokers_needed(assembly)            # as many as the topics' replication asks for
    settings = broker_settings(assembly)          # and the server properties the cluster's configuration sets
    ...                                           # sockets are bound; brokers, database, cache, AWS emulation started
    plan = resolve(assembly, services)            # every reference resolved against the running services
    create_topics(plan)                           # real
    create_aws(plan)                              # in the AWS emulation: buckets, Glue, secrets, state machines
    configs = write_configs(plan, directory)      # by model: lambdas, http_api, event_source, …
    ...                                           # the models are started, each with its config and its socket
    plan.triggers                                 # functions a deployment invokes once, in order (migrations)

`plan` also names what tests and tools look for: buckets, functions, topics, delivery streams, the database.
"""

from local.resources.configure import write_configs
from local.resources.create import create_aws, create_topics
from local.resources.known import UnknownTemplatePart, check
from local.resources.plan import Plan, Services, broker_settings, brokers_needed, resolve

__all__ = [
    "Plan",
    "Services",
    "UnknownTemplatePart",
    "broker_settings",
    "brokers_needed",
    "check",
    "create_aws",
    "create_topics",
    "resolve",
    "write_configs",
]
