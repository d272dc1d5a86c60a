import pytest

from searchspace.choices import AGGREGATIONS, DEFAULTS, OPERATIONS, RULES, Choice, check
from searchspace.errors import SpaceError


def test_a_choice_reads_what_it_writes():
    for choice in (Choice("skip"), Choice("separable_conv", (("kernel", 3), ("dilation", 6)))):
        assert Choice.from_json(choice.to_json()) == choice
    assert Choice("skip").to_json() == "skip"
    assert Choice.from_json({"separable_conv": {"kernel": 3, "dilation": 1}}).arguments == {"kernel": 3, "dilation": 1}


def test_the_order_of_parameters_is_no_part_of_a_choice():
    forth, back = (("kernel", 3), ("dilation", 6)), (("dilation", 6), ("kernel", 3))
    assert Choice("separable_conv", forth) == Choice("separable_conv", back)
    assert hash(Choice("separable_conv", forth)) == hash(Choice("separable_conv", back))
    assert str(Choice("separable_conv", forth)) == "separable_conv(dilation=6, kernel=3)"


@pytest.mark.parametrize(
    "value",
    [None, 3, ["skip"], {}, {"skip": {}, "concat": {}}, {"skip": 3}, {3: {}}, {"separable_conv": {3: 1}}],
    ids=repr,
)
def test_a_choice_of_another_form_is_refused(value):
    with pytest.raises(SpaceError, match="a choice must be a name or"):
        Choice.from_json(value)


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(SpaceError, match="unknown operation 'conv9'; known are separable_conv, global_pool, skip, def"):
        check(Choice("conv9"), "operation")
    with pytest.raises(SpaceError, match=r"unknown aggregation 'skip'; known are .*concat.*attention_gate"):
        check(Choice("skip"), "aggregation")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        pytest.param((), "takes kernel, dilation, but got none", id="none"),
        pytest.param((("kernel", 3),), "takes kernel, dilation, but got", id="one missing"),
        pytest.param((("kernel", 3), ("dilation", 1), ("stride", 2)), "takes kernel, dilation", id="one too many"),
        pytest.param((("kernel", 3), ("kernel", 3), ("dilation", 1)), "takes kernel, dilation", id="one twice"),
        pytest.param((("kernel", 4), ("dilation", 1)), "kernel must be one of 1, 3, 5, ..., 15, but is 4", id="even"),
        pytest.param((("kernel", 17), ("dilation", 1)), "kernel must be one of", id="large"),
        pytest.param((("kernel", 3), ("dilation", 0)), "dilation must be one of", id="zero"),
        pytest.param((("kernel", 3), ("dilation", True)), "dilation must be one of .* but is True", id="bool"),
        pytest.param((("kernel", 3.0), ("dilation", 1)), r"kernel must be one of .* but is 3\.0", id="float"),
        pytest.param((("kernel", "3"), ("dilation", 1)), "kernel must be one of .* but is '3'", id="text"),
    ],
)
def test_parameters_that_a_choice_does_not_take_are_refused(parameters, message):
    with pytest.raises(SpaceError, match=message):
        check(Choice("separable_conv", parameters), "operation")


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, known in RULES.items() for name in known])
def test_every_allowed_value_passes_and_its_neighbours_do_not(kind, name):
    rules = RULES[kind][name]
    plain = {key: next(iter(allowed)) for key, allowed in rules.items()}
    for key, allowed in rules.items():
        for value in allowed:
            check(Choice(name, tuple((plain | {key: value}).items())), kind)
        good = {(type(value), value) for value in allowed}
        near = [(type(v), v) for x in allowed for v in (int(x) - 1, int(x), int(x) + 1, float(x), bool(x))]
        for value in [*(value for _, value in set(near) - good), None, "", float("nan"), [1], 10**400]:
            with pytest.raises(SpaceError, match=f"{kind} {name}: {key} must be one of .*, but is "):
                check(Choice(name, tuple((plain | {key: value}).items())), kind)


def test_a_parameter_at_its_default_is_as_good_as_none():
    bare = Choice("memory_attention", (("slots", 4),))
    for key, value in DEFAULTS["memory_attention"].items():
        full = Choice("memory_attention", (("slots", 4), (key, value)))
        assert (full, hash(full), str(full), full.to_json()) == (bare, hash(bare), str(bare), bare.to_json())
    assert str(bare) == "memory_attention(slots=4)"
    check(bare, "aggregation")


@pytest.mark.parametrize("value", [0, 0.0, None])
def test_what_only_equals_a_default_is_not_the_default(value):
    choice = Choice("memory_attention", (("scaled", value), ("slots", 4)))
    assert choice.parameters == (("scaled", value), ("slots", 4))
    with pytest.raises(SpaceError, match="memory_attention: scaled must be one of False, True, but is"):
        check(choice, "aggregation")


def test_defaults_are_allowed_values_of_parameters_that_exist():
    for name, defaults in DEFAULTS.items():
        for key, value in defaults.items():
            assert (type(value), value) in {(type(other), other) for other in AGGREGATIONS[name][key]}


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (
            {"local_correlation": {"slots": 4, "window": 10}},
            "local_correlation: window must be one of 1, 3, 5, ..., 63, but is 10$",
        ),
        (
            {"local_correlation": {"slots": 4}},
            r"local_correlation takes slots, window, keys \(16\), values \(64\), masked \(False\), joint \(True\), "
            r"but got \['slots'\]$",
        ),
        (
            {"memory_attention": {"slots": 4, "window": 5}},
            r"memory_attention takes slots, .*, but got \['slots', 'window'\]$",
        ),
        ("memory_attention", r"memory_attention takes slots, keys \(16\), .*, but got none$"),
        ({"memory_attention": {"slots": 0}}, "memory_attention: slots must be one of 1, 2, 3, ..., 16, but is 0$"),
        ({"memory_attention": {"slots": True}}, "memory_attention: slots must be one of .*, but is True$"),
        (
            {"attention_propagation": {"slots": 3, "stride": 2, "phases": 3}},
            "attention_propagation: phases must be one of 1, 2, 4, but is 3$",
        ),
        ({"gated_fusion": {"light": 1}}, "gated_fusion: light must be one of False, True, but is 1$"),
    ],
    ids=str,
)
def test_attentions_say_which_parameter_breaks_which_rule(choice, message):
    with pytest.raises(SpaceError, match=f"^aggregation {message}"):
        check(Choice.from_json(choice), "aggregation")


def test_choices_without_parameters_pass_bare_and_only_bare():
    for kind, known in (("operation", OPERATIONS), ("aggregation", AGGREGATIONS)):
        for name in (name for name, rules in known.items() if not rules):
            check(Choice(name), kind)
            with pytest.raises(SpaceError, match=f"{kind} {name} takes no parameters"):
                check(Choice(name, (("size", 3),)), kind)
