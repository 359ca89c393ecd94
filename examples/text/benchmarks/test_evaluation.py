"""Is the language right, sentence by sentence?"""

import pytest
from example_text.sentences import draw_sentences
from py3langid import langid


@pytest.mark.evaluation(metric="accuracy", margin=0.02)
def test_languages(trial):
    sentences = draw_sentences(seed=1)
    answers = [langid.classify(sentence.text)[0] for sentence in sentences]
    trial.record_examples(
        "accuracy",
        [answer == sentence.language for sentence, answer in zip(sentences, answers, strict=True)],
        ids=[sentence.id for sentence in sentences],
        cluster=[sentence.original for sentence in sentences],
        inputs=[sentence.text for sentence in sentences],
        outputs=[str(answer) for answer in answers],
    )
