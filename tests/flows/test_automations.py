"""Who is told when a run fails, on a real Prefect server."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from prefect_server import own_environment, prefect_server

ASKS = """
import json
from flows.automations import make_automations
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import get_client

make_automations()
with get_client(sync_client=True) as client:
    failed, = client.read_automations_by_name("a run failed")
    told = [action.type for action in failed.actions]
    shown = [each.data for each in client.read_block_documents(include_secrets=False) if each.name == "incident-commons"]
if shown:
    CustomWebhookNotificationBlock.load("incident-commons").notify("a body", "a subject")
print(json.dumps([told, shown], default=str))
"""


def test_who_is_told_stays_told_and_the_address_is_shown_to_nobody(tmp_path: Path) -> None:
    heard: list[bytes] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(self.path.encode() + self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    hook = HTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=hook.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{hook.server_address[1]}/a-token"
    with prefect_server(tmp_path) as api:

        def asked(**more: str) -> tuple[list[str], list[object]]:
            environment = own_environment() | {"PREFECT_API_URL": api, "PREFECT_HOME": str(tmp_path)} | more
            done = subprocess.run([sys.executable, "-c", ASKS], env=environment, capture_output=True, check=True)
            told, shown = json.loads(done.stdout.splitlines()[-1])
            return told, shown

        assert asked() == (["do-nothing"], [])
        told, shown = asked(COMMONS_NOTIFY_URL=address)
        assert told == ["send-notification"] and "a-token" not in json.dumps(shown)
        assert asked()[0] == ["send-notification"]  # deployed from a shell that lacks the variable
    hook.shutdown()
    assert len(heard) == 2 and all(b"/a-token" in each and b"a subject" in each for each in heard)
