"""Text that would do harm in a path, a query, a page, a header or a log.

Most of it is valid: a device may have any readable name. It is stored byte for byte and never interpreted. Where a
contract has a stricter rule, it is rejected like any other wrong value.
"""

from collections.abc import Iterator

from tests.corpus.cases import ACCEPTED, ACTIVITY, READINGS, Case, good, identify, one, telemetry, write

PRINTABLE = {
    "the directory above": "../../../../etc/passwd",
    "the directory above, of Windows": "..\\..\\windows\\win.ini",
    "the directory above, encoded": "..%2f..%2f..%2fetc%2fpasswd",
    "the directory above, encoded twice": "..%252f..%252fetc",
    "the directory above, with dots to spare": "....//....//etc",
    "an absolute path": "/etc/shadow",
    "a path of a device": "C:\\CON",
    "dots": "..",
    "a dot": ".",
    "slashes": "//",
    "a prefix of the raw store": "raw/region=us-east-1/dt=2026-11-20/x",
    "a partition of its own": "dt=1999-01-01/region=nowhere",
    "an expression of Firehose": "!{timestamp:yyyy}",
    "an S3 address": "s3://another-bucket/key",
    "a file address": "file:///etc/passwd",
    "an address inside": "http://169.254.169.254/latest/meta-data/",
    "characters that S3 escapes": "a b&c$d@e=f;g:h+i,j?k",
    "characters that S3 asks to avoid": "\\{^}%`]>[~<#|",
    "an encoded line end": "x%0d%0aset-cookie:%20a=b",
    "an encoded NUL": "x%00.json",
    "a formula": "=cmd|' /C calc'!A0",
    "a formula by its plus": "+SUM(A1:A9)",
    "a formula by its minus": "-2+3+cmd|' /C calc'!A0",
    "a formula by its at sign": "@SUM(1+1)*cmd",
    "a cell's end": 'a","b","=HYPERLINK(1)',
    "the end of an SQL text": "'; DROP TABLE api_key; --",
    "an SQL condition": "' OR '1'='1",
    "an SQL union": "1 UNION SELECT secret_hash FROM api_key",
    "an SQL comment": "admin'/*",
    "an SQL wait": "'; SELECT pg_sleep(10); --",
    "an SQL pattern": "%_%",
    "dollar quotes": "$$; DROP TABLE fleet; $$",
    "a script": "<script>alert(1)</script>",
    "an image with a script": '"><img src=x onerror=alert(1)>',
    "an entity": "&lt;b&gt; &#x3c;",
    "a link of Markdown": "[a](javascript:alert(1))",
    "a template": "{{7*7}} ${7*7} #{7*7} <%= 7*7 %>",
    "a format": "%s%s%s%n {0} {device_id!r}",
    "a lookup of a logger": "${jndi:ldap://127.0.0.1/a}",
    "a shell's command": "$(reboot) `reboot` ; reboot | reboot",
    "a shell's variable": "$AWS_SECRET_ACCESS_KEY ${IFS}",
    "a command line's option": "--help",
    "an argument of AWS": "arn:aws:s3:::*",
    "a filter of LDAP": "*)(uid=*))(|(uid=*",
    "a path of XPath": "' or count(/*)=1 or 'a'='b",
    "an operator of MongoDB": "{$gt: ''}",
    "a command of Redis": "x} FLUSHALL {y",
    "a key of the cache": "quota:{other}:events",
    "a JSON text's end": '", "fleet_id": "other", "x": "',
    "escapes of a text": "\\n\\u0000\\x00",
    "a word for nothing": "null",
    "a word for no number": "NaN",
    "a word of an object": "__proto__",
    "a zero": "0",
}

# A line end or a control character: never in a name, because names are printed within lines.
CONTROLLING = {
    "a line end": "x\r\nset-cookie: a=b",
    "a line feed": 'x\n{"level":"INFO","message":"forged"}',
    "a line feed at the end": "press-0007\n",
    "a tab": "a\tb",
    "a colour of a terminal": "\x1b[31mred",
    "a title of a terminal": "\x1b]0;owned\x07",
    "a backspace": "a\b\bxx",
    "an escape of eight bits": "\x9b31m",
}

RULED = (
    ("a sensor type", "reading", "sensor_type", "unknown_sensor_type"),
    ("a firmware", "telemetry", "device_firmware_version", "unknown_firmware"),
    ("a version", "reading", "schema_version", "unknown_schema_version"),
    ("a UUID", "telemetry", "event_id", "contract_violation"),
    ("a time", "activity", "timestamp", "contract_violation"),
    ("a region", "reading", "region", "contract_violation"),
    ("a value", "reading", "value", "contract_violation"),
)
ROUTES = {"telemetry": "/v1/events", "reading": READINGS, "activity": ACTIVITY}


def cases() -> Iterator[Case]:
    """Each text in every free field, and in fields with a rule for their text."""
    for number, (name, text) in enumerate(PRINTABLE.items()):
        yield one(f"{name} for a device", write(telemetry(f"hostile {name}", device_id=text)), ACCEPTED)
        metrics = {**telemetry("any")["metrics"], text: 1.5}
        yield one(f"{name} for a metric", write(telemetry(f"hostile metric {name}", metrics=metrics)), ACCEPTED)
        activity = good("activity", 1, f"hostile {name}") | {"type": text[:64], "source": text}
        yield one(f"{name} for a source and a type", write(activity), ACCEPTED, route=ACTIVITY)
        reading = good("reading", 1, f"hostile {name}") | {"event_id": text, "note": {text: text}}
        yield one(f"{name} for an id", write(reading), ACCEPTED, route=READINGS)
        # In turn: a hundred texts in every ruled field would test the same a hundred times.
        yield _ruled(name, text, *RULED[number % len(RULED)])
    for name, text in CONTROLLING.items():
        device = write(telemetry(f"control {name}", device_id=text))
        yield one(f"{name} for a device", device, "contract_violation")
        source = write(good("activity", 1, f"control {name}") | {"source": text})
        yield one(f"{name} for a source", source, "contract_violation", route=ACTIVITY)
        metrics = {**telemetry("any")["metrics"], text: 1.5}
        metric = write(telemetry(f"control metric {name}", metrics=metrics))
        yield one(f"{name} for a metric", metric, "contract_violation")
        free = telemetry(f"control free {name}", diagnostics={"note": text, text: identify(name)})
        yield one(f"{name} in free text", write(free), ACCEPTED)


def _ruled(name: str, text: str, place: str, contract: str, field: str, code: str) -> Case:
    event = write(good(contract, 1, f"ruled {name}") | {field: text})
    return one(f"{name} for {place}", event, code, route=ROUTES[contract])
