import pytest

from searchspace.choices import AGGREGATIONS, OPERATIONS, Choice, check
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


def test_choices_without_parameters_pass_bare_and_only_bare():
    for kind, known in (("operation", OPERATIONS), ("aggregation", AGGREGATIONS)):
        for name in (name for name, rules in known.items() if not rules):
            check(Choice(name), kind)
            with pytest.raises(SpaceError, match=f"{kind} {name} takes no parameters"):
                check(Choice(name, (("size", 3),)), kind)
