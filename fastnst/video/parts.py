"""What an unfinished video leaves beside its output, so that the next run goes on after the last checkpoint.

A hidden folder with a manifest, which says how far the run has come, and files of the target's own. Only what the manifest
counts is used: it is replaced, in one step, after the frames that it counts are safely on the disk. So a kill at any moment
loses what came after the last checkpoint and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from fastnst.system.atomic import atomic_output, remove_stale_partials
from fastnst.video.frames import VideoError

try:
    import fcntl
except ImportError:  # Windows, where nothing keeps two runs apart
    fcntl = None  # type: ignore[assignment]


class Parts:
    """The parts of ``output``, held by this process until ``close`` or ``remove``.

    Args:
        output: the video that is being made.
        fingerprint: of everything that its frames depend on; parts with another one are thrown away.
        keep: leave the parts to the next run, should this one not get to its end.

    Attributes:
        frames: how many the manifest counts.
        state: what was recorded with them; None where there are none.

    Raises:
        VideoError: another process is at work on this output.
    """

    def __init__(self, output: Path, fingerprint: str, keep: bool = True) -> None:
        self.output, self._keep = output, keep
        # Not the name itself, which may be as long as the file system allows.
        digest = hashlib.sha256(os.fsencode(output.name)).hexdigest()[:16]
        self.folder = output.with_name(f".fastnst-{digest}.parts")
        self.folder.mkdir(exist_ok=True)
        self._lock = self._locked()
        self._fingerprint = fingerprint
        self.frames: int = 0
        self.state: Any = None
        if (manifest := self._read()) is None:
            self.restart()
        else:
            self.frames, self.state = manifest["frames"], manifest["state"]
        remove_stale_partials(self.folder)

    def restart(self) -> None:
        """Throw away all that an earlier run left."""
        self.frames, self.state = 0, None
        self._forget()
        for path in self.folder.iterdir():
            path.unlink()

    def record(self, frames: int, state: Any) -> None:
        """Count ``frames``, all on the disk by now, and keep ``state`` with them."""
        self.frames, self.state = frames, state
        text = json.dumps({"fingerprint": self._fingerprint, "frames": frames, "state": state})
        with atomic_output(self._manifest) as file:
            file.write(text.encode())

    def remove(self) -> None:
        """The output is finished."""
        self._keep = False
        self.close()

    def close(self) -> None:
        """Let go. Nothing is left where nothing was recorded."""
        if not (self._keep and self.frames):
            with suppress(OSError):
                self._forget()
            shutil.rmtree(self.folder, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def _manifest(self) -> Path:
        return self.folder / "manifest.json"

    def _read(self) -> dict[str, Any] | None:
        try:
            manifest = json.loads(self._manifest.read_bytes())
        except (FileNotFoundError, ValueError):
            return None
        return manifest if manifest["fingerprint"] == self._fingerprint else None

    def _forget(self) -> None:
        """To be done before anything else is removed: the manifest would count frames that are not there."""
        self._manifest.unlink(missing_ok=True)

    def _locked(self) -> int | None:
        if fcntl is None:
            return None
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise VideoError(f"{self.output}: another process is making it") from None
        return descriptor
