"""Pipelines that a real KFP 2.17 has run; `recorded` holds what its driver gave to their tasks."""

from typing import NamedTuple, Optional

from kfp import dsl

from tests.conformance.parts import component


@component
def take(
    values: list,
    settings: dict,
    n: int = 7,
    f: float = 2.0,
    flag: bool = True,
    text: str = "default",
    opt: Optional[str] = None,
    conf: dict = {"a": 1.0, "b": [1, 2.5]},  # noqa: B006
) -> str:
    import json

    return json.dumps([values, settings, n, f, flag, text, opt, conf])


@component
def make() -> NamedTuple(
    "O",
    [
        ("values", list),
        ("settings", dict),
        ("n", int),
        ("f", float),
        ("flag", bool),
        ("text", str),
        ("big", int),
        ("tiny", float),
        ("huge", float),
    ],
):
    settings = {
        "z": 1.0,
        "a": {"b": [None, False]},
        "big": 12345678901234567890,
        "e": 1e22,
        "u": 'é<&>"',
    }
    values = [1, 1.0, 2.5, 1e21, 1e-7, None, True, [1.0, [2.0]], {"k": 1.0}]
    text = 'line\n"q" \\ é'
    return (values, settings, 2**53 + 1, 1.0, False, text, 123456789012345678, 1e-7, 1e21)


@component
def num(big: int, tiny: float, huge: float, n: int, f: float) -> list:
    return [big, tiny, huge, n, f]


@component
def join(a: str, b: str, c: str, d: str, e: str, g: str, h: str) -> list:
    return [a, b, c, d, e, g, h]


@component
def optart(t: Optional[str] = None, d: Optional[dsl.Input[dsl.Dataset]] = None) -> str:
    return f"{t} {d}"


@dsl.pipeline
def inner(
    values: list = [1.0, {"x": 2.0}],  # noqa: B006
    settings: dict = {"s": 1.0},  # noqa: B006
    opt: Optional[str] = None,
    n: int = 3,
    f: float = 4.0,
) -> str:
    return take(values=values, settings=settings, opt=opt, n=n, f=f).output


@dsl.pipeline
def values(
    values: list = [1, 2.0, [3.5, 1e21, 1e-7]],  # noqa: B006
    settings: dict = {"n": 4.0, "deep": {"l": [1.0, True]}},  # noqa: B006
    n: int = 2**53 + 1,
    f: float = 1.0,
    flag: bool = False,
    text: str = "5",
    opt: Optional[str] = None,
    huge: float = 1e21,
):
    take(values=values, settings=settings, n=n, f=f, flag=flag, text=text, opt=opt)
    take(values=[1, 1.0, [1e21, 1e-7, 123456789012345678]], settings={"x": 1.0, "t": True})
    made = make().outputs
    take(
        values=made["values"],
        settings=made["settings"],
        n=made["n"],
        f=made["f"],
        flag=made["flag"],
        text=made["text"],
    )
    num(big=made["big"], tiny=made["tiny"], huge=made["huge"], n=n, f=huge)
    inner()
    inner(opt="given", values=[], settings={})
    optart()


@dsl.pipeline
def strings(
    values: list = [1, 2.0, [3.5, 1e21, 1e-7, True]],  # noqa: B006
    n: int = 2**53 + 1,
    f: float = 1.0,
    flag: bool = False,
    huge: float = 1e21,
    tiny: float = 1.5e-7,
    half: float = 2.5,
    empty: dict = {},  # noqa: B006
):
    join(
        a=f"n={n} f={f}",
        b=f"flag={flag} {huge}",
        c=f"v={values}",
        d=f"s={empty}",
        e=f"{tiny} {half}",
        g="lit {{$.pipeline_job_name}}",
        h="x",
    )


@component
def art(out: dsl.Output[dsl.Model], other: dsl.Output[dsl.Dataset], m: dsl.Output[dsl.Metrics]):
    for artifact in (out, other):
        with open(artifact.path, "w") as file:
            file.write("abc")
    out.metadata.update({"a": 1.0, "b": True, "c": [1.0, False, None], "d": {"e": 2.0}, "f": 0.5})
    out.metadata.update({"i": 3, "s": "x<y", "big": 1e21, "neg": -1.5})
    out.metadata.update({"empty": [], "es": {}, "est": ""})
    out.framework = "sk"
    m.log_metric("acc", 1.0)
    m.log_metric("loss", 0.25)


@component
def see(out: dsl.Input[dsl.Model], m: dsl.Input[dsl.Metrics]) -> dict:
    return {"o": dict(out.metadata), "m": dict(m.metadata)}


@component
def cust(d: dsl.Output[dsl.Dataset]):
    d.custom_path = "/tmp/there.txt"
    with open(d.custom_path, "w") as file:
        file.write("there")
    d.metadata["k"] = 1


@component
def rd(d: dsl.Input[dsl.Dataset]) -> str:
    return open(d.path).read()


@component
def ret() -> dsl.Dataset:
    made = dsl.Dataset(uri=dsl.get_uri("extra"), metadata={"r": 1.0})
    with open(made.path, "w") as file:
        file.write("r")
    return made


@dsl.pipeline
def innerart(d: dsl.Input[dsl.Dataset]) -> str:
    return rd(d=d).output


@dsl.pipeline
def placed():
    made = art().outputs
    see(out=made["out"], m=made["m"])
    rd(d=cust().outputs["d"])
    innerart(d=made["other"])
    rd(d=ret().output)


@component
def one(n: int) -> NamedTuple(
    "O", [("n", int), ("f", float), ("b", bool), ("d", dict), ("l", list)]
):
    return (n, float(n), n > 1, {"n": float(n)}, [n])


@component
def gather(
    ns: list[int],
    fs: list[float],
    bs: list[bool],
    ds: list[dict],
    ls: list[list],
    ds2: list[dsl.Dataset],
) -> str:
    import json

    return json.dumps([ns, fs, bs, ds, ls, [item.metadata for item in ds2]])


@component
def mk(n: int, d: dsl.Output[dsl.Dataset]):
    with open(d.path, "w") as file:
        file.write(str(n))
    d.metadata["n"] = n


@component
def item(i: dict, k: str = "") -> dict:
    return i


@component
def nested_gather(ns: list) -> list:
    return ns


@dsl.pipeline
def loops(
    items: list[dict] = [{"a": 1.0, "b": [2.0]}, {"a": "x", "b": {}}],  # noqa: B006
    some: list[float] = [1.0, 2.5],  # noqa: B006
):
    with dsl.ParallelFor(items) as i:
        item(i=i)
    with dsl.ParallelFor([{"k": 1.0, "z": 3}]) as i:
        item(i=i)
        take(values=[], settings={}, f=i.k)
    with dsl.ParallelFor(some) as x:
        take(values=[], settings={}, f=x, text=f"x={x}")
    with dsl.ParallelFor([2, 1]) as n:
        o = one(n=n).outputs
        d = mk(n=n)
        with dsl.ParallelFor([10]) as p:
            q = one(n=p)
    gather(
        ns=dsl.Collected(o["n"]),
        fs=dsl.Collected(o["f"]),
        bs=dsl.Collected(o["b"]),
        ds=dsl.Collected(o["d"]),
        ls=dsl.Collected(o["l"]),
        ds2=dsl.Collected(d.outputs["d"]),
    )
    nested_gather(ns=dsl.Collected(q.outputs["l"]))


@component
def double(num: int) -> int:
    return 2 * num


@component
def simple_add(nums: list[int]) -> int:
    return sum(nums)


@component
def nested_add(nums: list[list[int]]) -> int:
    return sum(item for inner in nums for item in inner)


@dsl.pipeline
def parameters_complex():
    """Of KFP's samples; `nested_add` fails, as its list arrives flat."""
    with dsl.ParallelFor([1, 2, 3]) as a:
        t1 = double(num=a)
        with dsl.ParallelFor([4, 5, 6]) as b:
            t2 = double(num=b)
        simple_add(nums=dsl.Collected(t2.output))
    nested_add(nums=dsl.Collected(t2.output))
    with dsl.ParallelFor([0, 0, 0]):
        simple_add(nums=dsl.Collected(t1.output))
        nested_add(nums=dsl.Collected(t2.output))


@component
def told(status: dsl.PipelineTaskFinalStatus, s: str = "x") -> str:
    return f"{status.state} {status.pipeline_task_name} {status.error_message!r}"


@component
def fail():
    raise ValueError("boom")


@component
def say(s: str) -> str:
    return s


@dsl.pipeline
def exits():
    with dsl.ExitHandler(told(s="e"), name="guarded"):
        say(s="before")
        fail()
