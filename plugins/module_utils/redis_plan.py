# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Redis Cluster lacks to be as it shall be: from its nodes to the next step, and by simulation to all steps.

Pure: nothing here talks to Redis. The cluster itself is the journal of a run: steps are chosen from what the nodes say
now, so a run that was killed, or a failover on the way, changes the next step and nothing else.
Runs on managed hosts: standard library only, Python 3.9 or later. How nodes behave is
https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/.
"""

from __future__ import annotations

import collections
import dataclasses
import math
import typing as t

from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError

SLOTS = 16384
#: fewer masters cannot outvote one that failed
FEWEST_MASTERS = 3
#: a plan that is longer does not end (steps); each node needs a handful
MOST_STEPS = 10_000


class Refused(HostError):
    """The goal cannot be reached without losing something: one sentence, and nothing was changed."""


@dataclasses.dataclass(frozen=True)
class Member:
    """A node that shall be there: ``address`` is host:port, ``domain`` what fails together with it."""

    address: str
    domain: str

    @property
    def host(self) -> str:
        """The address without its port."""
        return self.address.rpartition(":")[0]


@dataclasses.dataclass(frozen=True)
class Goal:
    """The cluster as it shall be."""

    members: tuple[Member, ...]
    #: copies of each slot besides the master's
    replicas: int
    #: addresses of nodes that shall leave; other nodes that nobody named are left alone, and stop the plan
    removed: frozenset[str] = frozenset()
    #: slots are moved when a master's share is off by more than this (share of the ideal)
    tolerance: float = 0.02
    #: masters may get more data than their maxmemory: their policy evicts it
    allow_evictions: bool = False

    @property
    def masters(self) -> int:
        """How many masters the members make."""
        return len(self.members) // (self.replicas + 1)


@dataclasses.dataclass(frozen=True)
class Node:
    """A node as it is: one that answers, or one that others know."""

    address: str
    slots: frozenset[int] = frozenset()
    #: address of its master; empty for a master
    master: str = ""
    #: which cluster it is in: nodes that know each other have one name
    cluster: str = ""
    reachable: bool = True
    keys: int = 0
    #: data (bytes), and how many it may hold (bytes, 0 without a limit)
    used: int = 0
    limit: int = 0
    #: why it has to be started again; empty where it has not
    restart: str = ""
    #: settings and users that can be changed while it runs
    settings: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Move:
    """A slot whose move was begun."""

    slot: int
    source: str
    target: str


@dataclasses.dataclass(frozen=True)
class State:
    """All nodes by address, and the slots between two of them."""

    nodes: t.Mapping[str, Node]
    moves: tuple[Move, ...] = ()


@dataclasses.dataclass(frozen=True)
class Step:
    """One thing to do. ``node`` does it or has it done; ``target`` is the other side where there is one."""

    action: str
    node: str
    target: str = ""
    slots: tuple[int, ...] = ()
    reason: str = ""

    def sentence(self) -> str:
        """The step as an operator reads it."""
        count = f"{len(self.slots)} slot{'' if len(self.slots) == 1 else 's'}"
        words = {
            "configure": f"set {self.reason} on {self.node}",
            "restart": f"restart {self.node}: {self.reason}",
            "failover": f"let {self.node} take over from {self.target}: {self.reason}",
            "meet": f"let {self.node} join",
            "reset": f"empty {self.node} and make it a master: {self.reason}",
            "assign": f"give {count} to {self.node}",
            "finish": f"finish the move of {count} from {self.node} to {self.target}"
            if self.node != self.target
            else f"call off the move of {count} on {self.node}",
            "move": f"move {count} from {self.node} to {self.target}",
            "replicate": f"make {self.node} a replica of {self.target}",
            "forget": f"let {self.node} leave",
        }
        return words[self.action]


def goal(options: t.Mapping[str, t.Any]) -> Goal:
    """The goal that the options of the module make.

    :raises Refused: when a value cannot be used.
    """
    if options["replicas"] < 0:
        raise Refused(f"replicas is {options['replicas']}: give 0 or more")
    if not 0 <= options["tolerance"] < 1:
        raise Refused(f"tolerance is {options['tolerance']:g}: give a share of 0 or more and below 1, such as 0.02")
    for name in ("wait", "restart_wait"):
        if options[name] <= 0:
            raise Refused(f"{name} is {options[name]:g}: give a number of seconds above 0")
    for address in [*(node["address"] for node in options["nodes"]), *options["remove"]]:
        host, colon, port = address.rpartition(":")
        if not host or not colon or not port.isdigit() or not 0 < int(port) < 65536:
            raise Refused(f"{address!r} is no address of a node: give host:port with a port from 1 to 65535")
    return Goal(
        members=tuple(
            Member(node["address"], node["failure_domain"] or node["address"].rpartition(":")[0])
            for node in options["nodes"]
        ),
        replicas=options["replicas"],
        removed=frozenset(options["remove"]),
        tolerance=options["tolerance"],
        allow_evictions=options["allow_evictions"],
    )


def ranges(slots: t.Iterable[int]) -> str:
    """Slots as Redis writes them: ``0-5460 10923``."""
    found: list[list[int]] = []
    for slot in sorted(slots):
        if found and found[-1][1] == slot - 1:
            found[-1][1] = slot
        else:
            found.append([slot, slot])
    return " ".join(f"{first}-{last}" if last > first else str(first) for first, last in found)


def plan(goal: Goal, state: State) -> tuple[Step, ...]:
    """All steps from ``state`` to the goal, as they will be where nothing fails on the way.

    :raises Refused: when the goal cannot be reached safely.
    """
    check(goal, state)
    steps: list[Step] = []
    while True:
        step = next_step(goal, state)
        if step is None:
            return tuple(steps)
        steps.append(step)
        state = after(state, step)
        if len(steps) > MOST_STEPS:
            raise Refused(f"no end of steps is in sight, the last is to {step.sentence()}: this is an error of ours")


def next_step(goal: Goal, state: State) -> Step | None:
    """The next step, None when the cluster is as it shall be.

    :raises Refused: when it cannot be reached safely.
    """
    for phase in PHASES:
        step = phase(goal, state)
        if step is not None:
            return step
    return None


# --- What stops a plan


def check(goal: Goal, state: State) -> None:
    """Whether the goal can be reached from here without losing a slot or a key.

    :raises Refused: when it cannot.
    """
    addresses = [member.address for member in goal.members]
    for address, count in collections.Counter(addresses).items():
        if count > 1:
            raise Refused(f"nodes has {address} twice: name each node once")
    if goal.masters < FEWEST_MASTERS:
        raise Refused(
            f"{len(addresses)} nodes with replicas={goal.replicas} make {goal.masters} masters: Redis Cluster needs "
            f"{FEWEST_MASTERS} or more, so give at least {FEWEST_MASTERS * (goal.replicas + 1)} nodes"
        )
    for address in sorted(goal.removed & set(addresses)):
        raise Refused(f"{address} is in nodes and in remove: name it in one of them")
    for address in addresses:
        if not state.nodes[address].reachable:
            raise Refused(
                f"{address} is a node of the cluster and does not answer: start it, or move it from nodes to remove"
            )
    _check_strangers(goal, state)
    _check_slots(goal, state)
    _check_memory(goal, state)


def _check_strangers(goal: Goal, state: State) -> None:
    addresses = {member.address for member in goal.members}
    main = cluster_of(state)
    # Two clusters are no accident to be tidied up: somebody's data is in either.
    for address in sorted(addresses):
        node = state.nodes[address]
        if node.cluster == main:
            continue
        peers = sorted(one.address for one in state.nodes.values() if one.cluster == node.cluster and one is not node)
        if node.slots or any(state.nodes[peer].slots or peer not in addresses for peer in peers):
            raise Refused(
                f"{address} belongs to another cluster (with {', '.join(peers[:3]) or 'nobody else'}): "
                "let it leave that one first, or leave it out"
            )
        if node.keys:
            raise Refused(
                f"{address} is not in the cluster and holds {node.keys} keys, which it would lose: "
                "empty it with FLUSHALL, or leave it out"
            )
    for node in state.nodes.values():
        if node.cluster == main and node.address not in addresses | goal.removed:
            raise Refused(
                f"{node.address} is in the cluster and nobody names it: add it to nodes, or to remove to let it leave"
            )


def _check_slots(goal: Goal, state: State) -> None:
    owned = owners(state)
    lost = [node for node in state.nodes.values() if node.slots and not node.reachable]
    if lost:
        raise Refused(
            f"{lost[0].address} has slots {ranges(lost[0].slots)} and does not answer: start it, "
            "or wait until a replica has taken over"
        )
    members = [state.nodes[member.address] for member in goal.members]
    free = SLOTS - len(owned)
    if free and owned and any(node.keys for node in members):
        missing = ranges(set(range(SLOTS)) - set(owned))
        raise Refused(
            f"slots {missing} have no owner and the cluster holds keys: bring back the node that had them, "
            "or give them away with CLUSTER ADDSLOTS if what was in them may be lost"
        )
    if free and not owned:
        for node in members:
            if node.keys:
                raise Refused(
                    f"{node.address} holds {node.keys} keys and the cluster is yet to be created: "
                    "empty it with FLUSHALL, or leave it out"
                )


def _check_memory(goal: Goal, state: State) -> None:
    """Whether each master can hold its share of the data once the slots are spread."""
    if goal.allow_evictions:
        return
    total = sum(node.used for node in state.nodes.values() if node.slots)
    share = total / goal.masters
    for member in goal.members:
        node = state.nodes[member.address]
        if node.limit and share > node.limit and _shares(goal, state):
            raise Refused(
                f"{goal.masters} masters would hold {share / 2**20:.0f} MiB each and {node.address} may hold "
                f"{node.limit / 2**20:.0f} MiB: raise maxmemory, keep more masters, or set allow_evictions"
            )


# --- What the state says


def cluster_of(state: State) -> str:
    """The cluster that the others join: the one with slots, else the one with most nodes.

    :raises Refused: never; two clusters with slots are found by :func:`check`.
    """
    sizes = collections.Counter(node.cluster for node in state.nodes.values())
    slots: collections.Counter[str] = collections.Counter()
    for node in state.nodes.values():
        slots[node.cluster] += len(node.slots)
    first = {node.cluster: place for place, node in reversed(list(enumerate(state.nodes.values())))}
    return max(sizes, key=lambda name: (slots[name], sizes[name], -first[name]))


def owners(state: State) -> dict[int, str]:
    """Slot -> address of its master."""
    return {slot: node.address for node in state.nodes.values() for slot in node.slots}


def replicas_of(state: State, master: str) -> list[Node]:
    """The replicas of a master that answer."""
    return [node for node in state.nodes.values() if node.master == master and node.reachable]


def chosen_masters(goal: Goal, state: State) -> list[str]:
    """Who shall have slots: those who have some now, then the empty masters, spread over failure domains."""
    wanted = goal.masters
    domains: collections.Counter[str] = collections.Counter()
    chosen: list[str] = []

    def take(candidates: t.Sequence[Member]) -> None:
        rest = list(candidates)
        while rest and len(chosen) < wanted:
            best = min(rest, key=lambda member: domains[member.domain])
            rest.remove(best)
            domains[best.domain] += 1
            chosen.append(best.address)

    nodes = state.nodes
    have = [member for member in goal.members if nodes[member.address].slots]
    # Of too many, those with most slots stay: least is moved.
    have.sort(key=lambda member: -len(nodes[member.address].slots))
    if len(have) > wanted:
        chosen.extend(member.address for member in have[:wanted])
        return chosen
    take(have)
    empty = [member for member in goal.members if member.address not in chosen and not nodes[member.address].slots]
    take([member for member in empty if not nodes[member.address].master])
    # Replicas become masters only where there is nobody else: of masters with most of them.
    spare = [member for member in empty if nodes[member.address].master]
    spare.sort(key=lambda member: -len(replicas_of(state, nodes[member.address].master)))
    take(spare)
    return chosen


def assignment(goal: Goal, state: State, masters: t.Sequence[str]) -> dict[str, str]:
    """Replica -> master: every master gets its replicas, elsewhere than itself wherever that can be.

    The cheapest matching of replicas and places: sharing the master's host costs more than sharing its failure domain,
    and that more than any number of replicas that change their master and copy all data. As a step makes a change less,
    the steps end.
    """
    where = {member.address: member for member in goal.members}
    pool = [member.address for member in goal.members if member.address not in set(masters)]
    load = collections.Counter(state.nodes[replica].master for replica in pool)
    now = {replica: state.nodes[replica].master for replica in pool}
    if all(load[master] >= goal.replicas for master in masters) and all(
        master in masters
        and where[master].domain != where[replica].domain
        and where[master].host != where[replica].host
        for replica, master in now.items()
    ):
        return now
    spare = max(0, len(pool) - goal.replicas * len(masters))
    places = [(master, 0) for master in masters for count in range(goal.replicas)]
    places += [(master, SPARE) for master in masters for count in range(spare)]

    def cost(replica: str, place: tuple[str, int]) -> int:
        one, other = where[replica], where[place[0]]
        shared = SAME_HOST * (one.host == other.host) + SAME_DOMAIN * (one.domain == other.domain)
        return place[1] + shared + (now[replica] != place[0])

    chosen = cheapest([[cost(replica, place) for place in places] for replica in pool])
    return {replica: places[column][0] for replica, column in zip(pool, chosen)}


#: what a place costs: one that nobody needs, one on the master's own host or in its own domain
SPARE, SAME_HOST, SAME_DOMAIN = 10**9, 10**6, 10**3


def cheapest(costs: t.Sequence[t.Sequence[int]]) -> list[int]:
    """A column for each row, each column once, of the least cost; there are as many columns as rows, or more.

    The Hungarian method with potentials (Kuhn 1955, Munkres 1957), rows times rows times columns steps.
    """
    if not costs:
        return []
    rows, columns = len(costs), len(costs[0])
    row_potential, column_potential = [0] * (rows + 1), [0] * (columns + 1)
    row_of, came_from = [0] * (columns + 1), [0] * (columns + 1)
    for row in range(1, rows + 1):
        row_of[0], column = row, 0
        least: list[float] = [math.inf] * (columns + 1)
        used = [False] * (columns + 1)
        while True:
            used[column] = True
            current, delta, following = row_of[column], math.inf, 0
            for other in range(1, columns + 1):
                if used[other]:
                    continue
                reduced = costs[current - 1][other - 1] - row_potential[current] - column_potential[other]
                if reduced < least[other]:
                    least[other], came_from[other] = reduced, column
                if least[other] < delta:
                    delta, following = least[other], other
            for other in range(columns + 1):
                if used[other]:
                    row_potential[row_of[other]] += int(delta)
                    column_potential[other] -= int(delta)
                else:
                    least[other] -= delta
            column = following
            if not row_of[column]:
                break
        while column:
            row_of[column] = row_of[came_from[column]]
            column = came_from[column]
    found = [0] * rows
    for column in range(1, columns + 1):
        if row_of[column]:
            found[row_of[column] - 1] = column - 1
    return found


def _shares(goal: Goal, state: State) -> dict[str, int]:
    """How many slots each master lacks (above 0) or has too many (below 0); empty where all is well."""
    masters = chosen_masters(goal, state)
    count = {address: len(node.slots) for address, node in state.nodes.items()}
    drained = [address for address in count if count[address] and address not in masters]
    ideal = SLOTS / len(masters)
    off = max(abs(count[master] - ideal) for master in masters)
    if not drained and off <= max(1.0, goal.tolerance * ideal):
        return {}
    # Those with most slots keep the odd ones.
    ranked = sorted(masters, key=lambda master: (-count[master], masters.index(master)))
    share, odd = divmod(SLOTS, len(masters))
    lacking = {master: share + (place < odd) - count[master] for place, master in enumerate(ranked)}
    lacking.update({address: -count[address] for address in drained})
    return lacking


# --- The phases, in the order in which they are gone through


def _finish(goal: Goal, state: State) -> Step | None:
    """Slots between two nodes come first: they are how a killed run shows."""
    if not state.moves:
        return None
    first = state.moves[0]
    slots = [move.slot for move in state.moves if (move.source, move.target) == (first.source, first.target)]
    return Step("finish", first.source, first.target, tuple(sorted(slots)))


def _configure(goal: Goal, state: State) -> Step | None:
    for member in goal.members:
        node = state.nodes[member.address]
        if node.settings:
            return Step("configure", node.address, reason=", ".join(node.settings))
    return None


def _roll(goal: Goal, state: State) -> Step | None:
    """Restarts, one at a time and before anything is moved: no older node may get what a newer one sends."""
    members = [state.nodes[member.address] for member in goal.members]
    behind = [node for node in members if node.restart]
    for node in behind:
        if not node.slots:
            return Step("restart", node.address, reason=node.restart)
    domain = {member.address: member.domain for member in goal.members}
    load = collections.Counter(domain[node.address] for node in members if node.slots)
    for node in behind:
        ready = [one for one in replicas_of(state, node.address) if one.address in domain and not one.restart]
        if ready:
            best = min(ready, key=lambda one: load[domain[one.address]])
            return Step("failover", best.address, node.address, reason=f"{node.address} has to be restarted")
    return None


def _meet(goal: Goal, state: State) -> Step | None:
    main = cluster_of(state)
    for member in goal.members:
        if state.nodes[member.address].cluster != main:
            return Step("meet", member.address)
    return None


def _assign(goal: Goal, state: State) -> Step | None:
    """Slots that nobody has, in a cluster without a key: it is being created."""
    free = sorted(set(range(SLOTS)) - set(owners(state)))
    if not free:
        return None
    masters = chosen_masters(goal, state)
    for place, master in enumerate(masters):
        share = SLOTS // len(masters) + (place < SLOTS % len(masters))
        lacking = share - len(state.nodes[master].slots)
        if lacking > 0:
            # A replica cannot be given slots: chosen_masters took it for want of another.
            if state.nodes[master].master:
                return Step("reset", master, reason="there are too few masters")
            return Step("assign", master, slots=tuple(free[:lacking]))
    # All have their share and some slots are still free, from a creation that was cut short: the first takes them.
    return Step("assign", masters[0], slots=tuple(free))


def _succeed(goal: Goal, state: State) -> Step | None:
    """A replica takes over from a master that leaves: nothing has to be copied."""
    addresses = {member.address for member in goal.members}
    for node in state.nodes.values():
        if node.address in goal.removed and node.slots:
            heirs = [one.address for one in replicas_of(state, node.address) if one.address in addresses]
            if heirs:
                return Step("failover", heirs[0], node.address, reason=f"{node.address} leaves")
    return None


def _replicate_new(goal: Goal, state: State) -> Step | None:
    """Nodes without slots that shall be replicas."""
    masters = chosen_masters(goal, state)
    for address in masters:
        if state.nodes[address].master:
            return Step("reset", address, reason="there are too few masters")
    for replica, master in assignment(goal, state, masters).items():
        node = state.nodes[replica]
        if not node.master and not node.slots:
            return Step("replicate", replica, master)
    return None


def _move(goal: Goal, state: State) -> Step | None:
    lacking = _shares(goal, state)
    givers = [address for address, count in lacking.items() if count < 0]
    takers = [address for address, count in lacking.items() if count > 0]
    if not givers or not takers:
        return None
    # Those who leave give first.
    masters = set(chosen_masters(goal, state))
    source = min(givers, key=lambda address: (address in masters, lacking[address], address))
    target = max(takers, key=lambda address: (lacking[address], address))
    count = min(-lacking[source], lacking[target])
    return Step("move", source, target, tuple(sorted(state.nodes[source].slots)[-count:]))


def _replicate(goal: Goal, state: State) -> Step | None:
    """Replicas that shall have another master; first those whose master has others, or does not stay."""
    masters = chosen_masters(goal, state)
    wrong = [
        (len(replicas_of(state, state.nodes[replica].master)) < 2 and state.nodes[replica].master in masters, replica)
        for replica, master in assignment(goal, state, masters).items()
        if state.nodes[replica].master != master
    ]
    if not wrong:
        return None
    replica = min(wrong)[1]
    return Step("replicate", replica, assignment(goal, state, masters)[replica])


def _forget(goal: Goal, state: State) -> Step | None:
    main = cluster_of(state)
    for node in state.nodes.values():
        if node.address in goal.removed and node.cluster == main:
            return Step("forget", node.address)
    return None


def _spread(goal: Goal, state: State) -> Step | None:
    """Masters go where fewer are: a domain with most of them takes the vote with it when it fails."""
    domain = {member.address: member.domain for member in goal.members}
    load = dict.fromkeys(domain.values(), 0)
    masters = [node for node in state.nodes.values() if node.slots and node.address in domain]
    for node in masters:
        load[domain[node.address]] += 1
    most = math.ceil(len(masters) / len(load))
    for node in masters:
        if load[domain[node.address]] <= most:
            continue
        for replica in replicas_of(state, node.address):
            if replica.address in domain and load[domain[replica.address]] < most:
                return Step(
                    "failover", replica.address, node.address, reason=f"{domain[node.address]} has most masters"
                )
    return None


def _stuck(goal: Goal, state: State) -> Step | None:
    """A master that has to be restarted and whose slots nobody else has."""
    for member in goal.members:
        node = state.nodes[member.address]
        if node.restart:
            raise Refused(
                f"{node.address} has to be restarted ({node.restart}) and has no replica: its slots would be gone "
                "meanwhile; give it a replica, or restart it yourself"
            )
    return None


PHASES: tuple[t.Callable[[Goal, State], Step | None], ...] = (
    _finish,
    _configure,
    _roll,
    _meet,
    _assign,
    _succeed,
    _replicate_new,
    _move,
    _replicate,
    _forget,
    _spread,
    _roll,
    _stuck,
)


# --- Simulation


def after(state: State, step: Step) -> State:
    """The state that a step leads to where nothing fails."""
    nodes = dict(state.nodes)
    moves = state.moves
    node = nodes[step.node]
    if step.action == "configure":
        nodes[step.node] = dataclasses.replace(node, settings=())
    elif step.action == "restart":
        nodes[step.node] = dataclasses.replace(node, restart="")
    elif step.action == "meet":
        nodes[step.node] = dataclasses.replace(node, cluster=cluster_of(state))
    elif step.action == "reset":
        nodes[step.node] = dataclasses.replace(node, master="", keys=0, used=0)
    elif step.action == "assign":
        nodes[step.node] = dataclasses.replace(node, slots=node.slots | set(step.slots))
    elif step.action in ("move", "finish"):
        target = nodes[step.target]
        moved = node.slots & set(step.slots)
        size = round(node.used * len(moved) / len(node.slots)) if node.slots else 0
        nodes[step.node] = dataclasses.replace(node, slots=node.slots - moved, used=node.used - size)
        nodes[step.target] = dataclasses.replace(target, slots=target.slots | moved, used=target.used + size)
        moves = tuple(move for move in moves if move.slot not in step.slots)
    elif step.action == "replicate":
        nodes[step.node] = dataclasses.replace(node, master=step.target)
    elif step.action == "failover":
        old = nodes[step.target]
        for address, one in state.nodes.items():
            if one.master == step.target:
                nodes[address] = dataclasses.replace(one, master=step.node)
        nodes[step.node] = dataclasses.replace(node, master="", slots=old.slots, used=old.used)
        nodes[step.target] = dataclasses.replace(old, master=step.node, slots=frozenset())
    elif step.action == "forget":
        del nodes[step.node]
    return State(nodes, moves)
