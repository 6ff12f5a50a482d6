"""Signed calls of SQS in JSON on a connection that is kept, cheap enough for hundreds a second: boto3 alone would take a processor."""

import datetime
import hashlib
import hmac
import http.client
import json
import time

SIGNED = "content-type;host;x-amz-date;x-amz-target"
TYPE = "application/x-amz-json-1.0"


class Refused(Exception):
    """The call was answered, and not with 200."""

    def __init__(self, status, text):
        super().__init__(f"{status} {text}")
        self.status = status


class Calls:
    """Not for two threads at once."""

    def __init__(self, api, access_key, secret, region, timeout=30):
        self.host = api.removeprefix("http://")
        self.access_key, self.secret, self.region, self.timeout = access_key, secret, region, timeout
        self.day, self.key, self.connection = None, None, None

    def sign(self, target, body):
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        day = now[:8]
        if day != self.day:
            key = ("AWS4" + self.secret).encode()
            for part in (day, self.region, "sqs", "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self.day, self.key = day, key
        content = hashlib.sha256(body).hexdigest()
        canonical = f"POST\n/\n\ncontent-type:{TYPE}\nhost:{self.host}\nx-amz-date:{now}\nx-amz-target:{target}\n\n{SIGNED}\n{content}"
        scope = f"{day}/{self.region}/sqs/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = hmac.digest(self.key, text.encode(), "sha256").hex()
        return {"Host": self.host, "Content-Type": TYPE, "X-Amz-Date": now, "X-Amz-Target": target,
                "Authorization": f"AWS4-HMAC-SHA256 Credential={self.access_key}/{scope}, SignedHeaders={SIGNED}, Signature={signature}"}

    def once(self, operation, **parameters):
        """One try; whatever goes wrong on the way is raised, and the connection is given up."""
        body = json.dumps(parameters).encode()
        target = f"AmazonSQS.{operation}"
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.host, timeout=self.timeout)
        try:
            self.connection.request("POST", "/", body, self.sign(target, body))
            answer = self.connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            self.connection.close()
            self.connection = None
            raise
        if answer.status != 200:
            raise Refused(answer.status, text.decode(errors="replace"))
        return json.loads(text) if text else {}

    def __call__(self, operation, until, **parameters):
        """Tries as an SDK does, until then: again after a broken connection and after 5xx, with some time between. The answer, how often
        it tried again, and when the try began that was answered."""
        tries, pause = 0, 0.02
        while True:
            began = time.monotonic()
            try:
                return self.once(operation, **parameters), tries, began
            except Refused as refused:
                if refused.status < 500:
                    raise
                error = refused
            except (OSError, http.client.HTTPException) as broken:
                error = broken
            if time.monotonic() > until:
                raise error
            tries += 1
            time.sleep(pause)
            pause = min(pause * 2, 0.2)
