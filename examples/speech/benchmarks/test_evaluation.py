"""Is the answer right, clip by clip?"""

import pytest
from example_speech.clips import make_clips
from example_speech.detector import Detector
from example_speech.synthesiser import Synthesiser

NUM_CLIPS = 1000


@pytest.mark.evaluation(metric="accuracy", margin=0.02)
def test_clips(trial):
    clips = list(make_clips(Synthesiser().say, NUM_CLIPS, seed=1))
    detector = Detector()
    answers = [detector.has_speech(clip.samples) for clip in clips]
    trial.record_examples(
        "accuracy",
        [answer == clip.has_speech for clip, answer in zip(clips, answers, strict=True)],
        ids=[clip.id for clip in clips],
        inputs=[clip.description for clip in clips],
        outputs=["speech" if answer else "no speech" for answer in answers],
    )
