import pytest
import yaml

from cache.plain_yaml import parse_yaml

VALUES = {"name": "a", "sizes": [1, 2.5, None, True], "deep": {"er": {"still": "ü"}}}


def test_plain_values_are_read():
    assert parse_yaml(yaml.safe_dump(VALUES, allow_unicode=True)) == VALUES


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "expected ',' or ']'"),
        ("[" * 100_000, "nested deeper than 50 levels"),
        ("a: &laugh [x, x]\nb: [*laugh, *laugh]", "it has an alias"),
        ("a: 2001-99-99", "month must be in"),
        ("a: !!int ''", "index out of range"),
        ("a: !!bool perhaps", "perhaps"),
        ("a: !!timestamp x", "NoneType"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("a: " + "1" * 5000, "limit"),
        ("a: \0", "special characters are not allowed"),
    ],
    ids=lambda value: value[:30],
)
def test_what_is_wrong_is_one_error_of_one_line(text, message):
    with pytest.raises(ValueError, match=message) as caught:
        parse_yaml(text)
    assert "\n" not in str(caught.value)
