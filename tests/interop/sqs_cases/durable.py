"""What outlives a process: a kill, a take-over by another Forebay, a backup; and a Forebay that holds all the messages it may. Each has a
daemon of its own."""

import concurrent.futures
import pathlib
import subprocess
import tempfile
import time

from botocore.exceptions import ClientError, ConnectionError as Unconnected, HTTPClientError

from daemon import BINARY, Daemon

from .place import Place, refused

RETRIED = {429, 500, 502, 503, 504}


def fill(place):
    """Queues with messages in each state."""
    plain = place.queue(VisibilityTimeout=60)
    place.send(plain, *(f"plain {number}" for number in range(20)), MessageAttributes={"n": {"DataType": "Number", "StringValue": "1"}})
    place.send(plain, "delayed", DelaySeconds=900)
    fifo = place.fifo(ContentBasedDeduplication="true", VisibilityTimeout=60)
    for number in range(6):
        place.sqs.send_message(QueueUrl=fifo, MessageBody=str(number), MessageGroupId=str(number % 2))
    taken = place.receive(plain, most=5)
    place.delete(plain, *taken[:2])
    [first] = place.receive(fifo, most=1)
    dead = place.queue()
    source = place.queue(VisibilityTimeout=0, RedrivePolicy={"deadLetterTargetArn": place.arn(dead), "maxReceiveCount": 1})
    place.send(source, "poison")
    while place.receive(source):
        pass
    return {"plain": plain, "fifo": fifo, "dead": dead, "source": source, "taken": taken, "first": first}


def there(place, made):
    """All of it is there: counts, order, receipts, what was sent before."""
    at = lambda url: f"{place.daemon.api}/{place.account}/{url.rsplit('/', 1)[1]}"
    plain, fifo, dead = at(made["plain"]), at(made["fifo"]), at(made["dead"])
    found = [place.figures(url) for url in (plain, fifo, dead, at(made["source"]))]
    left = 20 - len(made["taken"])
    assert found == [(left, len(made["taken"]) - 2, 1), (5, 1, 0), (1, 0, 0), (0, 0, 0)], found
    place.delete(plain, made["taken"][2])
    assert place.figures(plain) == (left, len(made["taken"]) - 3, 1)
    place.sqs.send_message(QueueUrl=fifo, MessageBody="1", MessageGroupId="1")
    others = place.receive(fifo, AttributeNames=["All"])
    assert [message["Body"] for message in others] == ["1", "3", "5"], others
    place.delete(fifo, made["first"], *others)
    assert [message["Body"] for message in place.receive(fifo)] == ["2", "4"]
    found = []
    while more := place.receive(plain, MessageAttributeNames=["All"]):
        found += more
    bodies = {message["Body"] for message in found}
    known = {message["Body"] for message in made["taken"]}
    assert len(found) == left and bodies == {f"plain {number}" for number in range(20)} - known, bodies
    assert all(message["MessageAttributes"]["n"]["StringValue"] == "1" for message in found), found
    [letter] = place.receive(dead, AttributeNames=["All"])
    assert letter["Body"] == "poison" and letter["Attributes"]["DeadLetterQueueSourceArn"] == place.arn(at(made["source"])), letter


def kills(pool):
    """kill -9: what was answered is there, and what was hidden stays so until its time, by the wall clock."""
    with Daemon(pool=pool) as daemon:
        place = Place(daemon)
        made = fill(place)
        short = place.queue(VisibilityTimeout=6)
        place.send(short, "short")
        [message] = place.receive(short, AttributeNames=["All"])
        began = time.monotonic()
        daemon.kill()
        daemon.start()
        place = Place(daemon)
        there(place, made)
        short = f"{daemon.api}/{place.account}/{short.rsplit('/', 1)[1]}"
        early = time.monotonic() - began < 5 and place.figures(short)
        assert early in (False, (0, 1, 0)), early
        [again] = place.receive(short, wait=20, AttributeNames=["All"])
        took = time.monotonic() - began
        assert 5.5 <= took < 20, f"hidden for {took:.1f} of 6 s over a restart"
        assert again["MessageId"] == message["MessageId"] and again["Attributes"]["ApproximateReceiveCount"] == "2", again
        for name in ("SentTimestamp", "ApproximateFirstReceiveTimestamp"):
            assert again["Attributes"][name] == message["Attributes"][name], (message, again)
        daemon.stop()


def waits(place, url, until):
    """A long poll as an SDK makes it, which retries what may be retried; its message, and how often it tried again."""
    tries = 0
    while True:
        try:
            found = place.receive(url, most=1, wait=20)
            if found:
                return found[0]["Body"], tries
        except ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] in RETRIED, error.response
            tries += 1
        except (Unconnected, HTTPClientError):
            tries += 1
        assert time.monotonic() < until, "no message came after the take-over"
        time.sleep(0.05)


def take_over(daemon):
    """Has another Forebay take over."""
    before = daemon.process
    command = [BINARY, "up", "--api", "127.0.0.1:0", "--admin", "127.0.0.1:0", *daemon.arguments, "--take-over"]
    daemon.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=daemon.log, text=True)
    line = daemon.process.stdout.readline()
    assert f"api={daemon.api} " in line, f"{line!r}\n{daemon.stderr()[-3000:]}"
    return before


def takes_over(pool):
    """Another Forebay takes over: messages are there, and who waits is answered, or told to try again."""
    with Daemon(pool=pool, drain_seconds=3) as daemon, concurrent.futures.ThreadPoolExecutor(8) as pool_of_threads:
        place = Place(daemon)
        made = fill(place)
        polled = place.queue()
        until = time.monotonic() + 50
        polls = [pool_of_threads.submit(waits, place, polled, until) for _ in range(8)]
        time.sleep(0.5)
        before = take_over(daemon)
        place = Place(daemon)
        there(place, made)
        place.send(polled, *map(str, range(8)))
        found = [poll.result(60) for poll in polls]
        assert sorted(body for body, _ in found) == list(map(str, range(8))), found
        before.wait(30)
        assert place.figures(polled) == (0, 8, 0), place.figures(polled)
        daemon.stop()
    print(f"  a take-over with eight long polls: {sum(tries for _, tries in found)} retries", flush=True)


def restores(pool):
    """A backup while Forebay runs, restored elsewhere, has the messages."""
    with tempfile.TemporaryDirectory(prefix="forebay-sqs-") as folder:
        folder = pathlib.Path(folder)
        with Daemon(directory=folder / "runs", pool=pool) as daemon:
            made = fill(Place(daemon))
            ran = subprocess.run([BINARY, "backup", folder / "a.backup", "--data-dir", daemon.directory], capture_output=True, text=True, timeout=60)
            assert ran.returncode == 0, ran.stderr
            daemon.stop()
        ran = subprocess.run([BINARY, "restore", folder / "a.backup", "--data-dir", folder / "restored"], capture_output=True, text=True, timeout=60)
        assert ran.returncode == 0, ran.stderr
        with Daemon(directory=folder / "restored", pool=pool) as daemon:
            there(Place(daemon), made)
            daemon.stop()


def is_full(pool):
    """With as many messages as it may hold, a Forebay takes no more, and everything else goes on; after a kill, too."""
    with Daemon(pool=pool, max_messages=10) as daemon:
        for killed in (False, True):
            if killed:
                daemon.kill()
                daemon.start()
            place = Place(daemon)
            first, second = place.queue(), place.queue()
            place.send(first, *map(str, range(9)))
            told = place.sqs.send_message_batch(QueueUrl=second, Entries=[{"Id": str(number), "MessageBody": "a"} for number in range(3)])
            assert len(told["Successful"]) == 1 and {one["Code"] for one in told["Failed"]} == {"OverLimit"}, told
            refused("OverLimit", place.sqs.send_message, QueueUrl=first, MessageBody="a")
            messages = place.receive(first)
            assert len(messages) == 9, messages
            place.delete(first, *messages)
            place.send(second, "b")
            assert place.figures(second) == (2, 0, 0)
            place.sqs.delete_queue(QueueUrl=second)
            # What a deleted queue held has room again.
            place.send(first, *map(str, range(10)))
            refused("OverLimit", place.sqs.send_message, QueueUrl=first, MessageBody="a")
            place.sqs.purge_queue(QueueUrl=first)
        daemon.stop()
