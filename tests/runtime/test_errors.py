"""The messages of errors have a maximum length and a remedy."""

from cgan_runtime.errors import MAX_MESSAGE, CganError, InputError


def test_a_long_message_keeps_its_beginning_and_its_remedy() -> None:
    error = InputError(f"there is no class {'x' * 10**6}; choose another")
    assert len(str(error)) == MAX_MESSAGE
    assert str(error).startswith("there is no class x")
    assert str(error).endswith("x; choose another")
    assert str(CganError("x" * MAX_MESSAGE)) == "x" * MAX_MESSAGE


def test_the_problem_is_the_message_without_the_remedy() -> None:
    assert CganError("a.onnx; b is missing; check the path").problem == "a.onnx; b is missing"
    assert CganError("a.onnx is missing").problem == "a.onnx is missing"
