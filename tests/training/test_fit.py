"""The training loop of one member: the reference implementation's numbers, the order of images, steps by hand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from jaxsoft import rng
from jaxsoft.rng import Stream
from jaxsoft.training import augment, fit
from jaxsoft.training.fit import Bank, Member
from jaxsoft.training.recipe import Recipe

ADVICE = (
    "The engine no longer trains as the original implementation does. Do not touch the reference numbers: find why."
)


@pytest.mark.parametrize("golden, depth", [("kept", 3), ("whole", 4)], indirect=["golden"])
def test_six_steps_equal_the_reference(golden, golden_variables, depth):
    case = f"convnet/D{depth}"
    images, rows = (jnp.asarray(golden[f"{case}/{name}"]) for name in ("input", "soft_label"))
    recipe = Recipe(f"convnet(depth={depth}, width=16)", 10, 5, 5, "sgd(momentum=0.9)", "step(0.3, 3)")
    bank = Bank(images, jnp.ones(3), jnp.zeros(3), rows)
    member = Member(*map(jnp.asarray, (0, np.arange(5), np.arange(5), 5, 0.01, 5e-4, 6)))
    variables = golden_variables(f"{case}/init/")
    memory = recipe.build_optimizer()(0.0, 0.0).init(jax.flatten_util.ravel_pytree(variables["params"])[0])
    state, losses = fit.State(variables, memory, jnp.int32(-1)), []
    advance = jax.jit(lambda state, t: fit.train_chunk(recipe, bank, member, state, t, 1))
    for t in range(6):
        state, loss = advance(state, jnp.int32(t))
        losses.append(loss)
    np.testing.assert_allclose(losses, golden[f"{case}/sgd_losses"], atol=1e-4, err_msg=ADVICE)
    wanted = golden_variables(f"{case}/after_6_steps/")
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4, err_msg=ADVICE), state.variables, wanted)


@functools.partial(jax.jit, static_argnums=(0, 4))
def compiled_order(recipe, seed, slots, first, steps):
    who = jax.tree.map(lambda a: a[0], tiny.members([0]))._replace(seed=seed, slots=slots)
    return jax.vmap(lambda t: fit.slots_at(recipe, who, t))(first + jnp.arange(steps))


def order(recipe, seed, first, steps, slots=None):
    slots = recipe.slots if slots is None else slots
    return tuple(map(np.asarray, compiled_order(recipe, *map(jnp.int32, (seed, slots, first)), steps)))


@pytest.mark.parametrize("slots, batch, room", [(10, 4, 10), (8, 4, 8), (7, 6, 7), (5, 5, 5), (7, 4, 10), (4, 4, 9)])
def test_an_epoch_visits_every_slot_once(slots, batch, room):
    recipe = tiny.MLP._replace(slots=room, batch=batch)
    per_epoch = -(-slots // batch)
    assert recipe.steps_per_epoch(slots) == per_epoch
    seen, real = order(recipe, 3, 0, 4 * per_epoch, slots)
    last = slots - (per_epoch - 1) * batch
    np.testing.assert_array_equal(real.sum(1), ([batch] * (per_epoch - 1) + [last]) * 4)
    for epoch in range(4):
        now = slice(epoch * per_epoch, (epoch + 1) * per_epoch)
        assert sorted(seen[now][real[now]]) == list(range(slots))
    assert seen.min() >= 0 and seen.max() < slots, "padding must be a slot, too: it is read, then masked"


def test_room_for_larger_subsets_changes_nothing():
    for seen, alone in zip(order(tiny.MLP._replace(slots=50), 3, 0, 12, slots=10), order(tiny.MLP, 3, 0, 12)):
        np.testing.assert_array_equal(seen, alone)


def test_orders_differ_between_epochs_and_seeds():
    seen = {}
    for seed in (0, 1, 2):
        slots, real = order(tiny.MLP, seed, 0, 6)
        for epoch in (0, 1):
            seen[seed, epoch] = tuple(slots[3 * epoch : 3 * epoch + 3][real[3 * epoch : 3 * epoch + 3]])
    assert len(set(seen.values())) == 6


def test_chunks_of_any_length_are_one_long_chunk():
    whole = order(tiny.MLP, 5, 0, 17)
    for length in (2, 5):
        parts = [order(tiny.MLP, 5, first, length) for first in range(0, 17, length)]
        for joined, wanted in zip(map(np.concatenate, zip(*parts)), whole):
            np.testing.assert_array_equal(joined[:17], wanted)


def slots_of(seed, recipe, t):
    """The real slots of step t, from the definition: one permutation an epoch, cut into batches."""
    epoch, place = divmod(t, recipe.steps_per_epoch(recipe.slots))
    permutation = rng.permuted(rng.key(seed, Stream.ORDER, epoch), jnp.arange(recipe.slots), recipe.slots)
    return np.asarray(permutation)[place * recipe.batch : (place + 1) * recipe.batch]


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def by_numpy(variables, bank, member, recipe, steps):
    """Two dense layers trained with momentum .9 in float64, without padding; parameters and the loss of every step."""
    p = jax.tree.map(lambda a: np.asarray(a, np.float64), variables["params"])
    v, losses = jax.tree.map(np.zeros_like, p), []
    for t in range(min(steps, int(member.steps))):
        slots = slots_of(int(member.seed), recipe, t)
        x = np.asarray(bank.images, np.float64)[member.images[slots]].reshape(len(slots), -1) * 0.5 + 0.1
        y = np.asarray(bank.rows, np.float64)[member.rows[slots]]
        h = np.maximum(x @ p["dense0"]["kernel"] + p["dense0"]["bias"], 0)
        q = softmax(h @ p["classifier"]["kernel"] + p["classifier"]["bias"])
        if recipe.loss == "squared_error":
            losses.append(((q - y) ** 2).sum(1).mean())
            dz = 2 * q * (q - y - (q * (q - y)).sum(1, keepdims=True)) / len(slots)
        else:
            losses.append(-(y * np.log(q)).sum(1).mean())
            dz = (q * y.sum(1, keepdims=True) - y) / len(slots)
        dh = dz @ p["classifier"]["kernel"].T * (h > 0)
        g = {
            "classifier": {"kernel": h.T @ dz, "bias": dz.sum(0)},
            "dense0": {"kernel": x.T @ dh, "bias": dh.sum(0)},
        }
        v = jax.tree.map(lambda v, g, p: 0.9 * v + g + float(member.weight_decay) * p, v, g, p)
        p = jax.tree.map(lambda p, v: p - float(member.learning_rate) * v, p, v)
    return p, losses


@pytest.mark.parametrize("loss", ["soft_cross_entropy", "squared_error"])
def test_members_with_their_own_rate_decay_and_length_equal_numpy(loss):
    """Partial batches weigh as much as whole ones and their padding nothing; who has fewer steps stops in time."""
    who = tiny.members([0, 1, 2, 3], rate=[0.2, 0.01, 0.2, 0.4], decay=[0.0, 0.1, 0.03, 0.01], steps=[8, 7, 3, 1])
    recipe = tiny.MLP._replace(loss=loss)
    program = tiny.mlp_program() if recipe == tiny.MLP else tiny.program(recipe, 4)
    started = tiny.host(program.initialize((who,)))[0].state.variables
    history = tiny.train(program, who, chunks=4)
    for i in range(4):
        member = jax.tree.map(lambda a, i=i: a[i], who)
        variables = jax.tree.map(lambda a, i=i: a[i], started)
        wanted, losses = by_numpy(variables, tiny.bank(), member, recipe, 8)
        got = jax.tree.map(lambda a, i=i: a[i], history[-1][0].state.variables["params"])
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-6), got, wanted)
        chunk_means = [np.mean(losses[2 * c : 2 * c + 2]) if losses[2 * c :] else 0.0 for c in range(4)]
        np.testing.assert_allclose([report.loss[i] for _, report in history], chunk_means, rtol=1e-5)


@pytest.mark.parametrize("tile", [1, 2])
def test_tiles_of_images_add_up_to_the_batch(tile):
    """Partial batches too; what pads them weighs nothing in any tile."""
    bank, member = tiny.bank(), tiny.one(tiny.members([2], steps=6, rate=0.03), 0)
    state = jax.jit(lambda: fit.initialize(tiny.CONV, tiny.SHAPE, member.seed))()

    def train(tile):
        return jax.jit(lambda s: fit.train_chunk(tiny.CONV, bank, member, s, jnp.int32(0), 6, tile))(state)

    for got, wanted in zip(jax.tree.leaves(train(tile)), jax.tree.leaves(train(0))):
        np.testing.assert_allclose(got, wanted, atol=1e-5)
    text = jax.jit(lambda s: fit.train_chunk(tiny.CONV, bank, member, s, jnp.int32(0), 6, tile)).lower(state).as_text()
    assert text.count("stablehlo.while") > 1, "the batch was not cut"


def test_batch_norm_and_augmentation_equal_a_python_loop():
    """With optax, one unpadded batch after another: statistics of a partial batch are those of its real images."""
    recipe = tiny.CONV._replace(model="convnet(depth=1, width=4, norm=batch)", augment="crop_flip(2)")
    bank, member = tiny.bank(), tiny.one(tiny.members([2], steps=6, rate=0.03), 0)
    model, (draws, change) = recipe.build_model(), augment.build(recipe.augment)

    def sgd(rate):
        return optax.chain(optax.add_decayed_weights(1e-3), optax.sgd(rate, momentum=0.9))

    @jax.jit
    def step(params, stats, memory, x, y, t, rate):
        u = jax.random.uniform(rng.key(2, Stream.AUGMENT, t), (1 + draws * len(x),))
        x = jnp.stack([change(x[i] * 0.5 + 0.1, u[1 + i * draws : 1 + (i + 1) * draws], u[0]) for i in range(len(x))])

        def loss_of(params):
            logits, new = model.apply({"params": params, **stats}, x, train=True, mutable=["batch_stats"])
            return -jnp.mean(jnp.sum(y * jax.nn.log_softmax(logits), 1)), new

        (loss, stats), gradient = jax.value_and_grad(loss_of, has_aux=True)(params)
        update, memory = sgd(rate).update(gradient, memory, params)
        return optax.apply_updates(params, update), stats, memory, loss

    state = jax.jit(lambda: fit.initialize(recipe, tiny.SHAPE, member.seed))()
    params, stats = state.variables["params"], {"batch_stats": state.variables["batch_stats"]}
    memory, losses = sgd(0.0).init(params), []
    for t in range(6):
        slots = slots_of(2, recipe, t)
        x, y = bank.images[member.images[slots]], bank.rows[member.rows[slots]]
        rate = 0.03 * 0.3 ** (t // 3)
        params, stats, memory, loss = step(params, stats, memory, x, y, jnp.int32(t), jnp.float32(rate))
        losses.append(loss)
    got, loss = jax.jit(lambda s: fit.train_chunk(recipe, bank, member, s, jnp.int32(0), 6))(state)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), got.variables, {"params": params, **stats})
    np.testing.assert_allclose(loss, np.mean(losses), rtol=1e-5)
