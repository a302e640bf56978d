"""Sends events with the CloudEvents SDK in all three modes, and checks the answers."""

import os
import uuid

import requests
from cloudevents.conversion import to_dict
from cloudevents.http import CloudEvent, to_binary, to_structured

URL = os.environ["COXSWAIN"] + "/v1/event"
TOKEN = {"Authorization": "Bearer " + os.environ["TOKEN"]}


def event(id_):
    attributes = {
        "id": id_,
        "source": "sdk",
        "type": "sh.keptn.event.qa.delivery.triggered",
        "datacontenttype": "application/json",
        "subject": "an attribute that says nothing here",
        "myextension": "nor does this one",
    }
    data = {"project": "fulltour", "stage": "qa", "service": "helloservice", "labels": {"sent": "größer"}}
    return CloudEvent(attributes, data)


def send(headers, body):
    answer = requests.post(URL, headers={**headers, **TOKEN}, data=body, timeout=10)
    assert answer.status_code == 200, answer.text
    return answer.json()


def is_context(answer):
    return str(uuid.UUID(answer["keptnContext"])) == answer["keptnContext"]


structured = send(*to_structured(event("1")))
binary = send(*to_binary(event("1")))
assert structured == binary and is_context(binary), (structured, binary)

batch = [dict(to_dict(event(id_))) for id_ in ("2", "3")]
answer = requests.post(
    URL, headers={"Content-Type": "application/cloudevents-batch+json", **TOKEN},
    json=batch, timeout=10,
)
assert answer.status_code == 200, answer.text
contexts = answer.json()
assert len(contexts) == 2 and all(map(is_context, contexts)), contexts
print("all three modes were taken")
