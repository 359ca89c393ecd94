"""Speak a text: eSpeak NG, by its C interface, from the shared library that espeakng-loader ships."""

from __future__ import annotations

import ctypes

import espeakng_loader
import numpy as np

from example_speech.clips import SAMPLE_RATE

_RETRIEVAL, _UTF8 = 2, 1
_RATE, _PITCH = 1, 3
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class Synthesiser:
    """The library, loaded and initialised; one in each process."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self._rate = self._library.espeak_Initialize(_RETRIEVAL, 0, espeakng_loader.get_data_path().encode(), 0)
        self._pieces: list[np.ndarray] = []
        self._callback = _CALLBACK(self._collect)  # kept: the library holds only its address
        self._library.espeak_SetSynthCallback(self._callback)

    def _collect(self, samples: ctypes._Pointer[ctypes.c_short], number: int, _events: int) -> int:
        if number:
            self._pieces.append(np.ctypeslib.as_array(samples, (number,)).copy())
        return 0

    def say(self, text: str, *, voice: str, words_per_minute: int, pitch: int) -> np.ndarray:
        """Speak a text in a voice of eSpeak NG, at a pitch from 0 to 99; samples at the rate of the clips, from -1 to 1."""
        self._library.espeak_SetVoiceByName(voice.encode())
        self._library.espeak_SetParameter(_RATE, words_per_minute, 0)
        self._library.espeak_SetParameter(_PITCH, pitch, 0)
        self._pieces.clear()
        data = text.encode()
        self._library.espeak_Synth(data, len(data) + 1, 0, 1, 0, _UTF8, None, None)
        self._library.espeak_Synchronize()
        samples = np.concatenate(self._pieces) / 32768
        times = np.arange(int(len(samples) * SAMPLE_RATE / self._rate)) * (self._rate / SAMPLE_RATE)
        return np.interp(times, np.arange(len(samples)), samples)
