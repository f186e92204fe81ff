"""The systemd unit under which a fleet runs: ``callboard doctor --unit FLEET.toml``. Pure text; nothing is installed.

What each line is for:

- ``Type=notify`` with the watchdog: ready is what the daemon says, and one whose event loop stands is killed. By
  SIGKILL, because one that was stopped can act on nothing else.
- ``KillMode=mixed``: only the daemon is asked to end; it drains its cells in order, and what is left then is killed.
- ``TimeoutStopSec``: the cells drain one after the other, so the sum of their times.
- No ``PrivateTmp``, ``ProtectHome`` or ``ProtectSystem=strict``: what agents read and write is theirs to say.
"""

from typing import Final

import msgspec

from .config import FleetConfig
from .incarnation import KILL_AFTER

MARGIN: Final = 15.0
"""Seconds beyond the cells' own: the server has up to 10 for its end, the daemon needs the rest."""

_TEXT: Final = """\
# Written by 'callboard doctor --unit'. To use it:
#   callboard doctor --unit {fleet_file} | sudo tee /etc/systemd/system/callboard-{fleet}.service
#   sudo systemctl daemon-reload && sudo systemctl enable --now callboard-{fleet}

[Unit]
Description=Callboard fleet {fleet}
Documentation=https://www.freedesktop.org/software/systemd/man/sd_notify.html
{after}StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
{user}WorkingDirectory={home}
{environment}ExecStart={command}
TimeoutStartSec=300
WatchdogSec=10
WatchdogSignal=SIGKILL
Restart=always
RestartSec=2
KillMode=mixed
TimeoutStopSec={stop_within}
UMask=0077
NoNewPrivileges=true
ProtectSystem=full
ProtectControlGroups=true
ProtectKernelModules=true
ProtectKernelTunables=true
RestrictRealtime=true
RestrictSUIDSGID=true
LockPersonality=true
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
"""
_AFTER: Final = "Wants=network-online.target\nAfter=network-online.target\n"


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What the unit is told about this machine. All paths are absolute."""

    fleet_file: str
    python: str
    state: str = ""
    """The folder of the fleets' state, where it is not beside the fleet file."""
    server: str = ""
    """Another nats-server than the installed one."""
    path: str = ""
    """PYTHONPATH."""
    user: str = ""
    """Who runs it; empty for root."""


def unit(config: FleetConfig, setting: Setting) -> str:
    """Return the unit for a fleet."""
    words = [setting.python, "-m", "callboard.supervisor.cli", "up", setting.fleet_file]
    words += ["--state", setting.state] if setting.state else []
    words += ["--nats-server", setting.server] if setting.server else []
    return _TEXT.format(
        fleet=config.name, fleet_file=setting.fleet_file, home=_specifiers(str(config.home)),
        after=_AFTER if config.bus.url else "",
        user=f"User={setting.user}\n" if setting.user else "",
        environment=f"Environment={quoted(f'PYTHONPATH={setting.path}')}\n" if setting.path else "",
        command=" ".join(quoted(word, command=True) for word in words),
        stop_within=f"{stop_within(config):g}",
    )  # fmt: skip


def stop_within(config: FleetConfig) -> float:
    """Return the seconds after which a daemon that was told to stop can be taken for stuck."""
    cells: dict[str, float] = {}
    for spec in config.actors:
        cells[spec.cell] = max(spec.health.drain_for, cells.get(spec.cell, 0.0))
    return sum(drain + KILL_AFTER for drain in cells.values()) + MARGIN


def quoted(word: str, *, command: bool = False) -> str:
    """Return a word as systemd reads it back; in a command a dollar sign would begin a variable."""
    text = _specifiers(word.replace("\\", "\\\\").replace('"', '\\"'))
    text = text.replace("$", "$$") if command else text
    return text if text and not set(text) & set(" \t'\"\\;") else f'"{text}"'


def _specifiers(text: str) -> str:
    return text.replace("%", "%%")
