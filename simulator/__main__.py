"""`python -m simulator`: several simulated Harvester clusters in one process, until it is told to end.

Writes the administrator's kubeconfig of each to `FOLDER/NAME.kubeconfig`, readable by its owner only.
"""

import argparse
import asyncio
import contextlib
import ipaddress
import logging
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kube.names import is_dns_label
from simulator.guests.network import random_block
from simulator.guests.timings import GuestTimings
from simulator.harvester import PortTaken, SimulatedHarvester, read_state
from simulator.private_files import write_private

_SMALLEST_SHARE = 20
"""Prefix length: of a /16, sixteen clusters have 4094 addresses each."""


class UsageError(Exception):
    """The command line does not fit what is there; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Options:
    """The command line."""

    names: tuple[str, ...]
    folder: Path
    listen: str
    port: int
    network: ipaddress.IPv4Network | None
    ready_file: Path | None
    boot_delay: float
    die_with_parent: bool


def parse_options(arguments: Sequence[str]) -> Options:
    """Reads the command line; exits with code 2 and a message when it is wrong."""
    parser = argparse.ArgumentParser(prog="python -m simulator", description=__doc__.splitlines()[0])
    parser.add_argument("--name", action="append", required=True, type=_name, help="a cluster; repeat for more")
    parser.add_argument("--folder", required=True, type=Path, help="where state and kubeconfigs are kept")
    parser.add_argument("--listen", default="127.0.0.1", type=_address, help="the address the APIs listen on")
    parser.add_argument("--port", default=0, type=int, help="port of the first cluster, the next ones follow; 0: kept")
    parser.add_argument("--network", type=_network, help="block below 127.0.0.0/8 for the machines, e.g. 127.80.0.0/16")
    parser.add_argument("--ready-file", type=Path, help="made when all clusters are ready")
    parser.add_argument(
        "--boot-delay", default=GuestTimings().boot, type=float, help="seconds from power on to cloud-init"
    )
    parser.add_argument(
        "--die-with-parent", action="store_true", help="end when the process that started this one ends"
    )
    given = parser.parse_args(arguments)
    if len(set(given.name)) != len(given.name):
        parser.error("--name: each name once")
    return Options(
        names=tuple(given.name),
        folder=given.folder,
        listen=given.listen,
        port=given.port,
        network=given.network,
        ready_file=given.ready_file,
        boot_delay=given.boot_delay,
        die_with_parent=given.die_with_parent,
    )


def _name(text: str) -> str:
    if not is_dns_label(text):
        raise argparse.ArgumentTypeError(f"{text!r}: use lower-case letters, digits and dashes")
    return text


def _address(text: str) -> str:
    address = ipaddress.ip_address(text)
    if address.is_unspecified:
        raise argparse.ArgumentTypeError("name one address: kubeconfigs point to it")
    return str(address)


def _network(text: str) -> ipaddress.IPv4Network:
    network = ipaddress.IPv4Network(text)
    if not network.is_loopback:
        raise argparse.ArgumentTypeError(f"{text} is not below 127.0.0.0/8")
    return network


def share_network(options: Options) -> dict[str, ipaddress.IPv4Network]:
    """Each cluster's block: the kept one, else the next free share. Raises UsageError."""
    kept = {name: read_state(options.folder / name) for name in options.names}
    blocks = {name: ipaddress.IPv4Network(state.block) for name, state in kept.items() if state is not None}
    around = next((block.supernet(new_prefix=min(16, block.prefixlen)) for block in blocks.values()), None)
    network = options.network or around or random_block()
    for name, block in blocks.items():
        if not block.subnet_of(network):
            raise UsageError(f"{name} keeps machines in {block}, which is not in --network {network}")
    length = max(_SMALLEST_SHARE, network.prefixlen + (len(options.names) - 1).bit_length())
    if length > 28:
        raise UsageError(f"--network {network} is too small for {len(options.names)} clusters")
    free = (
        share for share in network.subnets(new_prefix=length) if not any(share.overlaps(b) for b in blocks.values())
    )
    for name in options.names:
        if name not in blocks:
            try:
                blocks[name] = next(free)
            except StopIteration:
                raise UsageError(f"--network {network} has no room for {name}") from None
    return blocks


async def run(options: Options) -> None:
    """Runs the clusters until SIGTERM or SIGINT. Raises PortTaken, UsageError, and what ends a cluster's controllers."""
    blocks = share_network(options)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with contextlib.AsyncExitStack() as stack:
        clusters = await _start(options, blocks, stack)
        waits: list[asyncio.Future[object]] = [asyncio.ensure_future(ended.wait())]
        if options.die_with_parent:
            waits.append(asyncio.ensure_future(_wait_orphaned()))
        waits += [asyncio.ensure_future(cluster.run_until_failure()) for cluster in clusters]
        if options.ready_file is not None:
            write_private(options.ready_file, "".join(f"{cluster.name} {cluster.url}\n" for cluster in clusters))
        done, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in pending:
            wait.cancel()
        for wait in done:
            wait.result()


async def _start(
    options: Options, blocks: dict[str, ipaddress.IPv4Network], stack: contextlib.AsyncExitStack
) -> list[SimulatedHarvester]:
    clusters: list[SimulatedHarvester] = []
    for number, name in enumerate(options.names):
        cluster = SimulatedHarvester(
            name,
            options.folder / name,
            host=options.listen,
            port=options.port + number if options.port else 0,
            block=blocks[name],
            timings=GuestTimings(boot=options.boot_delay),
        )
        stack.push_async_callback(cluster.stop)
        clusters.append(cluster)
    starts = [asyncio.create_task(cluster.start()) for cluster in clusters]
    try:
        await asyncio.gather(*starts)
    except BaseException:
        # One that cannot start ends all, and none may go on starting while it is being stopped.
        for start in starts:
            start.cancel()
        await asyncio.gather(*starts, return_exceptions=True)
        raise
    for cluster in clusters:
        path = options.folder / f"{cluster.name}.kubeconfig"
        write_private(path, cluster.kubeconfig())
        print(f"{cluster.name}: {cluster.url}, kubeconfig {path}, machines in {cluster.block}", flush=True)  # noqa: T201
    return clusters


async def _wait_orphaned() -> None:
    """Returns when the parent process has ended: the system then names another one."""
    parent = os.getppid()
    while True:
        await asyncio.sleep(0.5)
        if os.getppid() != parent:
            return


def main() -> int:
    options = parse_options(sys.argv[1:])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        asyncio.run(run(options))
    except (PortTaken, UsageError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    except OSError as error:
        print(f"--folder {options.folder}: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
