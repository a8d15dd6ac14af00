"""Prefect's own settings, in the environment before it is first imported: telemetry off, state below the pool's root."""

import os
from pathlib import Path

SETTINGS = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
    "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
    "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
    "PREFECT_TASKS_REFRESH_CACHE": "true",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",  # the command line prints our own error; states keep it on Prefect's page
    "PREFECT_LOGGING_LOG_PRINTS": "false",
}


def prepare(root: Path) -> None:
    """Sets what is not set already. An operator's own settings (a server's address) hold."""
    root.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("PREFECT_HOME", str(root.resolve() / "prefect"))
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
