#!/usr/bin/env python3
import http.client, json, os, sys, time

connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])


def post(path, value):
    connection.request("POST", "/2018-06-01/runtime" + path, value if isinstance(value, str) else json.dumps(value))
    response = connection.getresponse()
    response.read()
    return response.status


if os.environ.get("INIT") == "exit":
    print("cannot begin", flush=True)
    sys.exit(7)
if os.environ.get("INIT") == "error":
    post("/init/error", {"errorMessage": "no database", "errorType": "Setup"})
    sys.exit(1)

label = open("label").read()
count = 0
while True:
    connection.request("GET", "/2018-06-01/runtime/invocation/next")
    response = connection.getresponse()
    event = json.loads(response.read())
    count += 1
    identity = response.headers["Lambda-Runtime-Aws-Request-Id"]
    base = "/invocation/" + identity
    what = event.get("do")
    print("doing", what, flush=True)
    if what == "sleep":
        time.sleep(event["seconds"])
    if what == "crash":
        os._exit(event["status"])
    if what == "error":
        post(base + "/error", {"errorMessage": "no such thing", "errorType": "Missing"})
        continue
    if what == "shout":
        for number in range(1000):
            print("line", number, file=sys.stderr if number % 2 else sys.stdout, flush=True)
    if what == "big":
        post(base + "/response", json.dumps("x" * 6_300_000))
        continue
    post(base + "/response", {
        "label": label, "pid": os.getpid(), "count": count, "event": event, "id": identity,
        "arn": response.headers["Lambda-Runtime-Invoked-Function-Arn"],
        "left": int(response.headers["Lambda-Runtime-Deadline-Ms"]) - time.time() * 1000,
        "context": response.headers["Lambda-Runtime-Client-Context"],
        "environment": dict(os.environ) if what == "environment" else None,
    })
