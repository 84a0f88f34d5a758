"""Networks of a user's own, as the engine calls those of this package: one thin class for each library."""

import functools
import importlib
import inspect
from collections.abc import Callable, Collection, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.core import DenyList
from jax.interpreters import partial_eval
from jaxtyping import Array, Bool, Float

from jaxsoft import errors
from jaxsoft.models._layers import FEATURES
from jaxsoft.ops import reroute

Variables = dict[str, Any]
"""`params`, and beside it what training changes without a gradient, such as batch statistics: trees of arrays."""
_KINDS = (
    "a flax.linen module, make(rngs) that makes a flax.nnx module, make(key) that makes an equinox module, "
    "or a pair of functions (init, apply)"
)


class Network:
    """A network for ONE member: images [B, H, W, C], or clips [B, T, H, W, C], to logits [B, K].

    `train` says whether it is trained or asked; `mask` which images of a batch are real; `key` is where its random
    numbers come from. Each is passed on only to a network that takes it.
    """

    tells_features = False  # has a way to tell feature maps, see `features`
    has_modes = False  # is told whether it is trained by a switch of its own, not by `train`

    def __init__(self, call: Callable[..., Any]):
        self.takes = frozenset(inspect.signature(call).parameters)

    def init(self, key: Array, images: Float[Array, "B *S C"]) -> Variables:
        """The variables that a network begins with."""
        raise NotImplementedError

    def apply(
        self,
        variables: Variables,
        images: Float[Array, "B *S C"],
        train: bool = False,
        mask: Bool[Array, "B"] | None = None,
        mutable: Sequence[str] | bool = False,
        key: Array | None = None,
    ) -> Any:
        """Logits in float32 or wider; where `mutable` is a list, and be it empty, a pair of them and the new state."""
        call = reroute.by_conv2d(functools.partial(self._call, train))
        logits, state = call(variables, images, mask, key)
        logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
        return logits if mutable is False else (logits, state)

    def draws(self, image_shape: tuple[int, ...]) -> bool:
        """Whether its training depends on random numbers, as dropout does."""
        key, images = jax.eval_shape(lambda: (jax.random.key(0), jnp.zeros((2, *image_shape))))

        def train(variables: Variables, images: Array, key: Array) -> Any:
            return self.apply(variables, images, True, jnp.ones(2, bool), [], key)

        traced = jax.make_jaxpr(train)(jax.eval_shape(self.init, key, images), images, key).jaxpr
        return partial_eval.dce_jaxpr(traced, [True] * len(traced.outvars))[1][-1]

    def _call(
        self, train: bool, variables: Variables, images: Array, mask: Array | None, key: Array | None
    ) -> tuple[Array, Variables]:
        """Logits, and the state after them."""
        raise NotImplementedError

    def _given(self, **options: Any) -> dict[str, Any]:
        return {name: value for name, value in options.items() if name in self.takes}


class Linen(Network):
    """A module of flax.linen; every stream of random numbers that it asks for is drawn from the one key."""

    tells_features = True

    def __init__(self, module: nn.Module):
        super().__init__(type(module).__call__)
        self.module = module

    def init(self, key: Array, images: Array) -> Variables:
        told = DenyList(("intermediates", FEATURES))
        return dict(self.module.init({"params": key}, images, mutable=told, **self._given(train=False)))

    def _call(
        self, train: bool, variables: Variables, images: Array, mask: Array | None, key: Array | None
    ) -> tuple[Array, Variables]:
        state = {name: value for name, value in variables.items() if name != "params"}
        apply: Any = functools.partial(self.module.apply, variables, images, **self._given(train=train, mask=mask))
        if not (train or FEATURES in state):
            return apply(), state
        # flax draws for a stream that it was not given, such as `dropout`, from that of `params`
        logits, new = apply(rngs={"params": key} if train else None, mutable=list(state))
        return logits, {**state, **new}


class Nnx(Network):
    """A module of flax.nnx, taken apart: `make` gives it its first random numbers, and every step new ones."""

    has_modes = True

    def __init__(self, make: Callable[..., Any]):
        from flax import nnx

        self.make = make
        self.shape = nnx.eval_shape(lambda: make(rngs=nnx.Rngs(0)))
        super().__init__(type(self.shape).__call__)

    def init(self, key: Array, images: Array) -> Variables:
        from flax import nnx

        return self._variables(self.make(rngs=nnx.Rngs(key)))

    def _call(
        self, train: bool, variables: Variables, images: Array, mask: Array | None, key: Array | None
    ) -> tuple[Array, Variables]:
        from flax import nnx

        static, params, streams, state = nnx.split(self.shape, nnx.Param, nnx.RngState, ...)
        params, state = _refilled(params, variables["params"]), _refilled(state, variables.get("state", {}))
        module = nnx.merge(static, params, streams, state, copy=True)
        key = jax.random.key(0) if key is None else key
        nodes = (node for _, node in nnx.iter_graph(module))
        tags = sorted({node.tag for node in nodes if isinstance(node, nnx.RngStream)})
        seeds: dict[str, Any] = {tag: jax.random.fold_in(key, i) for i, tag in enumerate(tags)}
        nnx.reseed(module, **seeds)
        (module.train if train else module.eval)()
        logits = module(images, **self._given(train=train, mask=mask))
        new = self._variables(module)
        del new["params"]
        return logits, new

    def _variables(self, module: Any) -> Variables:
        from flax import nnx

        _, params, _, state = nnx.split(module, nnx.Param, nnx.RngState, ...)
        found = {"params": nnx.to_pure_dict(params), "state": nnx.to_pure_dict(state)}
        return {name: tree for name, tree in found.items() if tree or name == "params"}


class Equinox(Network):
    """A module of equinox. It sees one image, channels first; those of a batch share the axis `batch`, for its norms."""

    has_modes = True

    def __init__(self, make: Callable[..., Any]):
        eqx = importlib.import_module("equinox")

        self.make = eqx.nn.make_with_state(make)
        self.shape = eqx.filter_eval_shape(lambda: self.make(key=jax.random.key(0)))
        super().__init__(type(self.shape[0]).__call__)

    def init(self, key: Array, images: Array) -> Variables:
        return _arrays(*self.make(key=key))

    def _call(
        self, train: bool, variables: Variables, images: Array, mask: Array | None, key: Array | None
    ) -> tuple[Array, Variables]:
        eqx = importlib.import_module("equinox")

        params, rest = iter(variables["params"]), iter(variables.get("state", ()))
        model, state = (
            jax.tree.map(lambda leaf, to=to: next(to(leaf)) if _is_array(leaf) else leaf, tree)
            for tree, to in zip(self.shape, (lambda leaf: params if _is_real(leaf) else rest, lambda _: rest))
        )
        model = eqx.nn.inference_mode(model, not train)

        def one(image: Array, key: Array | None) -> tuple[Array, Any]:
            given = self._given(state=state, key=key)
            said = model(image, **given)
            return said if "state" in given else (said, state)

        keys = None if key is None else jax.random.split(key, len(images))
        batch = jax.vmap(one, axis_name="batch", out_axes=(0, None))
        logits, state = batch(images.transpose(0, 3, 1, 2), keys)
        new = _arrays(model, state)
        del new["params"]
        return logits, new


class Pair(Network):
    """Two functions: `init(key, images)` gives the variables, `apply(variables, images)` logits.

    Where there is a state, `apply` gives (logits, new state) while it trains.
    """

    def __init__(self, init: Callable[..., Any], apply: Callable[..., Any]):
        super().__init__(apply)
        self._init, self._apply = init, apply

    def init(self, key: Array, images: Array) -> Any:
        return self._init(key, images)

    def _call(
        self, train: bool, variables: Variables, images: Array, mask: Array | None, key: Array | None
    ) -> tuple[Array, Variables]:
        state = {name: value for name, value in variables.items() if name != "params"}
        said = self._apply(variables, images, **self._given(train=train, mask=mask, key=key))
        return said if train and state else (said, state)


def adapt(model: Any) -> nn.Module | Network:
    """What a user's function gave, as a network; one of this package stays as it is.

    Raises:
      ConfigError: it is of no kind that is known.
    """
    if isinstance(model, nn.Module):
        return model if type(model).__module__.startswith("jaxsoft.") else Linen(model)
    if _is_pair(model):
        return Pair(*model)
    for name, kind in (("rngs", Nnx), ("key", Equinox)):
        if name in _parameters(model):
            return kind(model)
    raise errors.ConfigError(f"a model expects {_KINDS}; got {errors.quoted(model, 80)}")


def _is_pair(model: Any) -> bool:
    return isinstance(model, tuple) and len(model) == 2 and all(map(callable, model))


def _parameters(make: Any) -> Collection[str]:
    """What a function or a class is called with; a class of nnx hides it."""
    inner = make.func if isinstance(make, functools.partial) else make
    if isinstance(inner, type):
        return inspect.signature(inner.__init__).parameters
    return inspect.signature(make).parameters if inspect.isroutine(inner) else ()


def _arrays(model: Any, state: Any) -> Variables:
    """The arrays of a module of equinox and of its state."""
    own, others = (list(filter(_is_array, jax.tree.leaves(tree))) for tree in (model, state))
    rest = [leaf for leaf in own if not _is_real(leaf)] + others
    return {"params": list(filter(_is_real, own)), **({"state": rest} if rest else {})}


def _is_array(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and hasattr(leaf, "shape")


def _is_real(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jnp.floating)


def _refilled(tree: Any, leaves: Any) -> Any:
    """A tree with the leaves of another one that names them alike."""
    return jax.tree.unflatten(jax.tree.structure(tree), jax.tree.leaves(leaves))
