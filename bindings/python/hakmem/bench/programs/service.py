"""A server: a base load, a burst of requests on threads that come and go, and then light load again.

What users complain of is the memory of such processes, which goes up with the burst and does not come down.
"""

from __future__ import annotations

import json
import random
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import Program, check
from .records import make_records

_DOCUMENTS = 6000
_CACHED_ANSWERS = 2000
_BATCH = 100
_THREADS = 8
_REQUESTS_PER_THREAD = 3
_COPIES_PER_REQUEST = 2000
_LIGHT_REQUEST_COPIES = 20
_LIGHT_REQUEST_SECONDS = 0.05
_SECONDS_BEFORE = 0.5


def resident_bytes() -> int:
    """Of this process, counted page by page: the sums that the kernel keeps lag behind."""
    for line in Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/smaps_rollup does not tell of resident memory")


def _as_loaded(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Documents that share as much with others as those do that a request has read and renewed."""
    loaded = []
    for first in range(0, len(documents), _BATCH):
        loaded += json.loads(json.dumps(documents[first : first + _BATCH]))
    return loaded


class Service(Program):
    """Documents, and a cache of the last answers: as much lives after the burst as before, but it lies elsewhere.

    `renewed`: each request renews so many of the documents that it reads. The new ones lie together; those that they
    replace lay here and there, and leave holes.

    An iteration is a second of light load after the burst; the burst has a wave of threads, and another one for each
    five of them.
    """

    def __init__(self, seed: int, renewed: str) -> None:
        self._seed = seed
        self._renewed = int(renewed)
        self._documents = _as_loaded(make_records(seed, _DOCUMENTS))
        self._cache: OrderedDict[int, bytes] = OrderedDict()
        self._lock = threading.Lock()
        self._sum = 0
        self._burst_requests = 0
        self._samples: list[tuple[str, float, int]] = []
        self._resident: dict[str, int] = {}
        self._times = (0.0, 0.0)
        self._began = 0.0

    def warm_up(self) -> None:
        """Fills the cache."""
        for number in range(_CACHED_ANSWERS):
            self._answer(-1 - number, _LIGHT_REQUEST_COPIES)

    def work(self, iterations: int) -> None:
        """Before the burst, the burst, and after it."""
        self._samples = []
        self._began = time.perf_counter()
        self._light_load("before", _SECONDS_BEFORE)
        self._sum = self._burst_requests = 0
        wall, processor = time.perf_counter(), time.process_time()
        for wave in range(1 + iterations // 5):
            self._wave(wave)
        self._times = (time.perf_counter() - wall, time.process_time() - processor)
        burst_sum = self._sum
        self._light_load("after", iterations)
        self._sum = burst_sum

    def times(self) -> tuple[float, float]:
        """Of the burst."""
        return self._times

    def checksum(self) -> int:
        """Of the answers in the burst."""
        check(self._documents == make_records(self._seed, _DOCUMENTS), "a document has changed")
        check(len(self._cache) == _CACHED_ANSWERS, f"there are {len(self._cache)} answers in the cache")
        check(self._burst_requests % (_THREADS * _REQUESTS_PER_THREAD) == 0, "a request was not answered")
        return self._sum

    def figures(self) -> Mapping[str, float]:
        """Resident memory before the burst, at its peak, and at the end."""
        before, after = self._resident["before"], self._resident["after"]
        peak = max(resident for _, _, resident in self._samples)
        return {
            "rss_before_bytes": before,
            "rss_peak_bytes": peak,
            "rss_after_bytes": after,
            "rss_after_to_before": after / before,
        }

    def samples(self) -> Sequence[tuple[str, float, int]]:
        """After each answer of the burst, and every 50 ms otherwise."""
        return self._samples

    def _sample(self, phase: str) -> None:
        resident = resident_bytes()
        self._samples.append((phase, time.perf_counter() - self._began, resident))
        self._resident[phase] = resident

    def _light_load(self, phase: str, seconds: float) -> None:
        end = time.perf_counter() + seconds
        number = 0
        while time.perf_counter() < end:
            time.sleep(_LIGHT_REQUEST_SECONDS)
            self._answer(number, _LIGHT_REQUEST_COPIES)
            self._sample(phase)
            number += 1

    def _wave(self, wave: int) -> None:
        """Threads whose requests are all under way at once."""
        threads = [threading.Thread(target=self._serve, args=(wave * _THREADS + i,)) for i in range(_THREADS)]
        self._sample("burst")
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._sample("burst")

    def _serve(self, client: int) -> None:
        held = []
        for i in range(_REQUESTS_PER_THREAD):
            held.append(self._answer(client * _REQUESTS_PER_THREAD + i, _COPIES_PER_REQUEST))
            with self._lock:
                self._burst_requests += 1
                self._sample("burst")

    def _answer(self, number: int, copies: int) -> list[dict[str, Any]]:
        """Reads documents, puts an answer together, renews some of the documents. It depends on the number alone."""
        random_numbers = random.Random(self._seed * 1_000_003 + number)
        places = [random_numbers.randrange(_DOCUMENTS) for _ in range(copies)]
        copied: list[dict[str, Any]] = json.loads(json.dumps([self._documents[place] for place in places]))
        for place, document in list(zip(places, copied, strict=True))[: self._renewed]:
            self._documents[place] = document
        best = sorted(copied, key=lambda document: (document["score"], document["id"]))[-20:]
        answer = json.dumps({"number": number, "best": best}).encode()
        with self._lock:
            self._sum += zlib.crc32(answer)
            self._cache[number] = answer
            self._cache.move_to_end(number)
            while len(self._cache) > _CACHED_ANSWERS:
                self._cache.popitem(last=False)
        return copied
