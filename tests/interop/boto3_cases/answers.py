"""Every answer that the cases got, for `--record FILE`: two builds that answer alike record alike.

What differs from run to run is left out: ids, dates, ports that were free, certificates that were made, what probes have found so
far, and how often somebody asked. Lists are sorted, because many are in the order of their ids.
"""

import datetime
import json
import re

# Ids of resources, requests and markers; base64 of keys and certificates; addresses that were given by the pool or asked for.
CHANGES = [
    (r"-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----\s*", "pem"),
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "uuid"),
    (r"\b([0-9a-f]{2}:){15,}[0-9a-f]{2}\b", "fingerprint"),
    (r"\b(?=[0-9a-f]*[0-9])[0-9a-f]{8,}\b", "id"),
    (r"\b[A-Z0-9]{16,}\b", "id"),
    (r"\b20\d\d-\d\d-\d\d[T ][0-9:.]+(Z|[+-]\d\d:?\d\d)?", "date"),
    (r":\d{4,5}\b", ":port"),
]
# Who of several callers comes first is open there.
RACES = ["test_concurrent_writers"]
# Depends on when somebody asks.
TIMELY = ["TargetHealth"]


class Answers:
    def __init__(self):
        self.cases = {}
        self.case = "before all"

    def listen(self, client):
        service = client.meta.service_model.service_name
        client.meta.events.register(
            "after-call", lambda parsed, model, http_response, **_: self.take(service, model.name, parsed, http_response.status_code)
        )

    def take(self, service, operation, parsed, status):
        if self.case in RACES:
            return
        parsed = {name: value for name, value in plain(parsed).items() if name not in ("ResponseMetadata", "NextMarker", "NextToken", "PaginationToken")}
        parts = self.cases.setdefault(self.case, {}).setdefault(f"{service} {operation}", set())
        # Members of lists one by one: which of them share a page depends on ids.
        lists = {name: value for name, value in parsed.items() if isinstance(value, list) and value}
        parts.add(json.dumps({"status": status, **parsed, **{name: "listed" for name in lists}}, sort_keys=True))
        for name, members in lists.items():
            parts.update(json.dumps({name: member}, sort_keys=True) for member in members)

    def write(self, path):
        text = json.dumps(self.cases, indent=1, sort_keys=True, default=sorted)
        with open(path, "w") as file:
            file.write(text + "\n")
        print(f"boto3: {sum(len(answers) for case in self.cases.values() for answers in case.values())} answers in {path}")


def plain(value, key=""):
    if isinstance(value, dict):
        return {plain_text(name): plain(member, name) for name, member in value.items() if name not in TIMELY}
    if isinstance(value, list):
        return sorted((plain(member, key) for member in value), key=lambda member: json.dumps(member, sort_keys=True))
    if isinstance(value, datetime.datetime):
        return "date"
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if key.endswith("Port") and str(value).isdigit() and int(value) > 1024:
        return "port"
    return plain_text(value) if isinstance(value, str) else value


def plain_text(text):
    for pattern, word in CHANGES:
        text = re.sub(pattern, word, text, flags=re.DOTALL)
    return text
