"""The checkpoint of an unfinished video, from which the next run resumes.

It is a hidden folder beside the output, with a manifest and the target's own files. The manifest holds the number of finished
frames; later ones are ignored. It is replaced atomically once those frames are on the disk, so a run that is killed at any
moment loses only the frames after its last checkpoint.
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
except ImportError:  # Windows, where two runs on the same output are not detected
    fcntl = None  # type: ignore[assignment]


class Checkpoint:
    """The checkpoint of ``output``, locked by this process until ``close`` or ``remove``.

    Args:
        output: the video that is being made.
        fingerprint: a digest of everything that the frames depend on. A checkpoint with another one is deleted.
        keep: leave the checkpoint for the next run if this run does not finish.

    Attributes:
        frames: the number of finished frames.
        state: the value that was recorded with them; ``None`` if there are none.

    Raises:
        VideoError: another process is writing this output.
    """

    def __init__(self, output: Path, fingerprint: str, keep: bool = True) -> None:
        self.output, self._keep = output, keep
        # The name itself may already be as long as the file system allows.
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
        """Discard what an earlier run has done."""
        self.frames, self.state = 0, None
        self._forget()
        for path in self.folder.iterdir():
            path.unlink()

    def record(self, frames: int, state: Any) -> None:
        """Record that ``frames`` frames are finished and on the disk, and with them ``state``, any JSON value."""
        self.frames, self.state = frames, state
        text = json.dumps({"fingerprint": self._fingerprint, "frames": frames, "state": state})
        with atomic_output(self._manifest) as file:
            file.write(text.encode())

    def remove(self) -> None:
        """Delete the checkpoint, because the output is finished."""
        self._keep = False
        self.close()

    def close(self) -> None:
        """Release the lock. A checkpoint without frames is deleted."""
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
        """Delete the manifest. It goes before the frames, or it would count frames that no longer exist."""
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
