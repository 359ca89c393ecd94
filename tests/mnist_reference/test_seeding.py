import torch

from mnist_reference.seeding import derived_seed, generator, seeded


def test_purposes_and_seeds_give_different_streams():
    seeds = {derived_seed(seed, purpose) for seed in range(100) for purpose in ("shuffling", "initialisation")}

    assert len(seeds) == 200


def test_any_integer_gives_a_seed_that_torch_takes():
    for seed in (0, -1, 2**63 - 1, 2**100):
        assert 0 <= derived_seed(seed, "shuffling") < 2**63


def test_equal_seeds_give_equal_numbers_and_leave_the_global_state():
    state = torch.get_rng_state()

    first, second = (torch.randperm(100, generator=generator(3, "shuffling")) for _ in range(2))

    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), state)


def test_block_has_a_stream_of_its_own_and_leaves_the_global_state():
    state, cpu = torch.get_rng_state(), torch.device("cpu")

    drawn = []
    for purpose in ("one", "one", "two"):
        with seeded(3, purpose, cpu):
            drawn.append(torch.rand(5))

    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert torch.equal(torch.get_rng_state(), state)
