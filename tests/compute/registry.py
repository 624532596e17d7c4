"""A registry of images for tests: repository `whole` has an image, `spoilt` one whose layer is not what it should be."""

import gzip
import hashlib
import http.server
import io
import json
import os
import platform
import tarfile
import time

PORT = 5000
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def make_layer():
    content = os.urandom(3 << 20)
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        member = tarfile.TarInfo("content")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return tar.getvalue()


def make_image():
    tar = make_layer()
    layer = gzip.compress(tar, 1)
    machine = platform.machine()
    config = json.dumps({"architecture": MACHINES.get(machine, machine), "os": "linux", "config": {},
                         "rootfs": {"type": "layers", "diff_ids": [digest(tar)]}}).encode()
    manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST,
                           "config": {"mediaType": CONFIG, "size": len(config), "digest": digest(config)},
                           "layers": [{"mediaType": LAYER, "size": len(layer), "digest": digest(layer)}]}).encode()
    return manifest, {digest(config): config, digest(layer): layer}


IMAGES = {name: make_image() for name in ("whole", "spoilt")}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def reply(self, status, kind, data):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Docker-Content-Digest", digest(data))
        self.end_headers()
        if self.command == "HEAD":
            return
        for at in range(0, len(data), 1 << 20):  # slowly enough to be watched
            self.wfile.write(data[at:at + (1 << 20)])
            time.sleep(0.3 if len(data) > 1 << 20 else 0)

    def do_GET(self):
        parts = self.path.split("/")
        if self.path == "/v2/":
            self.reply(200, "application/json", b"{}")
            return
        manifest, blobs = IMAGES.get(parts[2], (b"", {}))
        if parts[3] == "manifests" and parts[4] in ("1", digest(manifest)) and manifest:
            self.reply(200, MANIFEST, manifest)
        elif parts[3] == "blobs" and parts[4] in blobs:
            data = blobs[parts[4]]
            spoil = parts[2] == "spoilt" and len(data) > 1 << 20
            self.reply(200, "application/octet-stream", data[:-1] + b"x" if spoil else data)
        else:
            error = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}
            self.reply(404, "application/json", json.dumps(error).encode())

    do_HEAD = do_GET


server = http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
print("ready", flush=True)
server.serve_forever()
