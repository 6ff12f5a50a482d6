"""`kill -9` of the agent and of nodes, and stalls, in every state of the control channel's diagram (docs/target-control.md): no
permit is lost, nothing waits for ever, and a channel stands again within a second of the agent's return."""

import collections
import pathlib
import random
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time

from agent_end import Agent, Application, Node
from daemon import Daemon, bound, free_port, get, wait

SEED = int(sys.argv[1]) if len(sys.argv) > 1 else 1
ROUNDS = 12


class Front:
    """A load balancer whose only target stands behind the agent."""

    def __init__(self, daemon, agent):
        self.daemon, self.elb = daemon, daemon.client("elbv2")
        subnets = daemon.client("ec2").describe_subnets()["Subnets"]
        balancer = self.elb.create_load_balancer(Name="kills", Subnets=[subnet["SubnetId"] for subnet in subnets])
        group = self.elb.create_target_group(
            Name="kills", Protocol="HTTP", Port=agent.port, VpcId=subnets[0]["VpcId"], TargetType="ip",
            TargetControlPort=agent.control, HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=2,
            HealthyThresholdCount=2)["TargetGroups"][0]["TargetGroupArn"]
        self.port = free_port()
        self.elb.create_listener(
            LoadBalancerArn=balancer["LoadBalancers"][0]["LoadBalancerArn"], Protocol="HTTP", Port=self.port,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": group}])
        self.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": "127.0.0.1", "Port": agent.port}])
        zones = self.elb.describe_load_balancers(Names=["kills"])["LoadBalancers"][0]["AvailabilityZones"]
        self.ip = zones[0]["LoadBalancerAddresses"][0]["IpAddress"]

        def healthy():
            described = self.elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
            return [one["TargetHealth"]["State"] for one in described] == ["healthy"]

        wait(healthy, "the target is healthy")

    def get(self, path="/"):
        return get(self.ip, self.port, path)

    def errors(self):
        """Channels that broke or could not be made, so far."""
        return self.daemon.metric("^forebay_target_control_channel_errors_total")

    def waiting(self):
        return self.daemon.metric("^forebay_surge_queue_length")


class Later:
    """A request under way on a thread of its own."""

    def __init__(self, front, path):
        self.status = None
        self.thread = threading.Thread(target=self.run, args=(front, path), daemon=True)
        self.thread.start()

    def run(self, front, path):
        try:
            self.status = front.get(path)[0]
        except OSError as error:
            self.status = str(error) or type(error).__name__

    def result(self, within=15):
        self.thread.join(within)
        assert not self.thread.is_alive(), "a request never ended"
        return self.status


def whole(agent, limit=1):
    """Every slot is somewhere: none is lost."""
    wait(lambda: agent.metric("in_flight") == 0 and agent.metric("permits") == limit, "all permits are with nodes", 10)


def back(agent, front, limit, channels=1):
    """The agent comes back; how long its channels took."""
    agent.start()
    began = time.monotonic()
    wait(lambda: agent.metric("channels") == channels, "the channel stands", 5)
    took = time.monotonic() - began
    bound(took, 1, "seconds until the channel stood")
    assert front.get()[0] == 200
    whole(agent, limit)
    return took


def agent_dies(agent, front, application):
    """The agent is killed in each state of a channel."""
    took = {}
    # Standing: its permits are idle.
    whole(agent)
    agent.kill()
    took["idle"] = back(agent, front, 1)

    # Standing: a permit is used, the request is at work.
    later = Later(front, "/slow/0.5")
    wait(lambda: application.now == 1, "a request is at work")
    agent.kill()
    took["in flight"] = back(agent, front, 1)
    # Sent anew, if that is safe: it came over a connection that may have been closing.
    assert later.result() in (200, 502), later.status
    wait(lambda: application.now == 0, "the application is done")

    # Standing: requests wait at the node, one is at work.
    first = Later(front, "/slow/0.3")
    wait(lambda: application.now == 1, "a request is at work")
    others = [Later(front, "/") for _ in range(5)]
    wait(lambda: agent.metric("waiting") == 5, "five wait")
    agent.kill()
    took["waiting"] = back(agent, front, 1)
    assert first.result() in (200, 502), first.status
    assert [other.result() for other in others] == [200] * 5, [other.status for other in others]

    # Dialling: nothing listens. Requests wait until the agent is back.
    errors = front.errors()
    agent.kill()
    others = [Later(front, "/") for _ in range(3)]
    # The channel broke, and four tries were in vain: from then on each wait is as long as it gets.
    wait(lambda: front.errors() >= errors + 5 and front.waiting() == 3, "three wait, and nobody listens", 10)
    took["refused"] = back(agent, front, 1)
    assert [other.result() for other in others] == [200] * 3, [other.status for other in others]

    # Greeting: the port is taken by one who takes connections and says nothing.
    agent.kill()
    with socket.create_server(("127.0.0.1", agent.control)) as silent:
        silent.settimeout(10)
        taken, _ = silent.accept()
        taken.recv(1)
    taken.close()
    took["greeting"] = back(agent, front, 1)

    # Stalled: not a word, and connections still open.
    errors = front.errors()
    agent.signal(signal.SIGSTOP)
    others = [Later(front, "/") for _ in range(2)]
    # The channel was given up, and so was one try.
    wait(lambda: front.errors() >= errors + 2, "nobody answers", 10)
    agent.signal(signal.SIGCONT)
    began = time.monotonic()
    wait(lambda: agent.metric("channels") == 1 and front.get()[0] == 200, "the channel stands", 5)
    took["stalled"] = time.monotonic() - began
    bound(took["stalled"], 1.5, "seconds until a stalled agent's channel stood")
    assert [other.result() for other in others] == [200] * 2, [other.status for other in others]
    whole(agent)
    return took


def recalled(agent, front, application):
    """The agent, and then the holder, dies while a permit is asked back."""
    with Node(agent, live=False) as holder:
        wait(lambda: agent.metric("channels") == 2, "two channels")
        holder.demand(1)
        wait(lambda: holder.ids, "the silent node holds the permit")
        later = Later(front, "/")
        wait(lambda: holder.recalls, "it is asked back")
        agent.kill()
        back(agent, front, 1)
        assert later.result() == 200
    with Node(agent, live=False) as holder:
        holder.demand(1)
        wait(lambda: holder.ids, "the silent node holds the permit")
        began = time.monotonic()
        later = Later(front, "/")
        wait(lambda: holder.recalls, "it is asked back")
        # Ends at once what a revocation would end later.
        holder.close()
        assert later.result() == 200
        took = time.monotonic() - began
        bound(took, 0.2, "seconds until a dead holder's permit moved")
    whole(agent)


def node_dies(agent, daemon, other, fronts, application):
    """A node is killed with idle permits, with a request at work, with requests that wait."""
    first, second = fronts
    took = {}
    whole(agent)
    # Idle permits. The second takes them over.
    assert first.get()[0] == 200
    daemon.kill()
    began = time.monotonic()
    assert second.get()[0] == 200
    took["idle"] = time.monotonic() - began
    bound(took["idle"], 0.2, "seconds until idle permits moved")
    whole(agent)
    daemon.start(api=daemon.api.removeprefix("http://"))
    wait(lambda: agent.metric("channels") == 2, "both are back", 10)

    # At work: the slot is busy until the application is done, whoever asked for it.
    application.most = 0
    Later(first, "/slow/0.6")
    wait(lambda: application.now == 1, "a request is at work")
    waits = Later(first, "/")
    wait(lambda: agent.metric("waiting") == 1, "another waits there")
    daemon.kill()
    began = time.monotonic()
    assert second.get()[0] == 200
    took["at work"] = time.monotonic() - began
    waits.result()
    assert application.most == 1, "the limit holds"
    whole(agent)
    daemon.start(api=daemon.api.removeprefix("http://"))
    wait(lambda: agent.metric("channels") == 2, "both are back", 10)
    return took


def at_random(agent, daemon, fronts, application, draws):
    """Under load, one of them dies at any moment; afterwards everything is as if nothing had been."""
    stop = threading.Event()
    statuses = collections.Counter()
    lock = threading.Lock()

    def load(front):
        while not stop.is_set():
            try:
                status = front.get(f"/slow/{draws.uniform(0, 0.01):.4f}")[0]
            except OSError as error:
                status = type(error).__name__
                time.sleep(0.02)
            with lock:
                statuses[status] += 1

    threads = [threading.Thread(target=load, args=(front,), daemon=True) for front in fronts for _ in range(4)]
    for thread in threads:
        thread.start()
    slowest = 0
    for _ in range(ROUNDS):
        time.sleep(draws.uniform(0.01, 0.4))
        if draws.random() < 0.7:
            agent.kill()
            time.sleep(draws.uniform(0, 0.5))
            agent.start()
        else:
            daemon.kill()
            daemon.start(api=daemon.api.removeprefix("http://"))
        began = time.monotonic()
        wait(lambda: agent.metric("channels") == 2, "both channels stand", 10)
        slowest = max(slowest, time.monotonic() - began)
    stop.set()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive(), f"seed {SEED}: a request never ended"
    whole(agent, 2)
    for front in fronts:
        assert front.get()[0] == 200
    # While the agent is gone a request may break (502), and its node a client's connection; nothing is refused, nothing hangs.
    allowed = {200, 502, "ConnectionRefusedError", "ConnectionResetError", "RemoteDisconnected", "BrokenPipeError"}
    assert set(statuses) <= allowed and statuses[200] > 100, f"seed {SEED}: {statuses}"
    bound(slowest, 1.5, f"seed {SEED}: seconds until a channel stood")
    return dict(statuses), slowest


def main():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="forebay-kills-"))
    draws = random.Random(SEED)
    application = Application()
    try:
        with Agent(application.address, directory) as agent, Daemon() as daemon:
            front = Front(daemon, agent)
            died = agent_dies(agent, front, application)
            recalled(agent, front, application)
            with Daemon(pool="127.96.0.0/14") as other:
                fronts = [front, Front(other, agent)]
                nodes = node_dies(agent, daemon, other, fronts, application)
                agent.ask("POST", "/limit", "2")
                agent.environment["TARGET_CONTROL_MAX_CONCURRENCY"] = "2"
                statuses, slowest = at_random(agent, daemon, fronts, application, draws)
                other.stop()
            daemon.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    shown = lambda took: ", ".join(f"{what} {seconds:.2f} s" for what, seconds in took.items())
    print(f"agent killed: channel back after {shown(died)}; node killed: next request after {shown(nodes)}; at random: {statuses}, slowest {slowest:.2f} s")


if __name__ == "__main__":
    main()
