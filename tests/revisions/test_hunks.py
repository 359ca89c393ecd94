"""Changed lines, and those nearest to a stack."""

from mainstay.records.explanations import CodeLine, Nearness
from mainstay.revisions.hunks import nearest_hunks, parse_hunks

DIFF = """diff --git a/src/package/model.py b/src/package/model.py
--- a/src/package/model.py
+++ b/src/package/model.py
@@ -10 +10 @@ class Model:
-    eps = 1
+    eps = 2
@@ -40,2 +39,0 @@ def forward(self):
-    x = clip(x)
-    log(x)
diff --git a/src/package/other.py b/src/package/other.py
--- a/src/package/other.py
+++ b/src/package/other.py
@@ -3,0 +4 @@
+--- a line that looks like a header
\\ No newline at end of file
"""


def line(number, file="package/model.py", root="own"):
    return CodeLine(root=root, file=file, line=number, function="f")


def hunks():
    return list(parse_hunks(DIFF))


def test_hunks_are_read_with_their_lines():
    first, second, third = hunks()

    assert (first.before, first.after, first.lines, first.function) == (
        10,
        10,
        ("-    eps = 1", "+    eps = 2"),
        "class Model:",
    )
    assert (second.before, second.num_before, second.after, second.num_after) == (40, 2, 39, 0)
    assert (third.file, third.lines) == ("src/package/other.py", ("+--- a line that looks like a header",))


def test_a_hunk_at_the_line_of_either_revision_is_nearest():
    nearness, (hunk,) = nearest_hunks(hunks(), [line(41)], [line(3, "package/unchanged.py")])

    assert (nearness, hunk.before) == (Nearness.AT_THE_LINE, 40)


def test_an_inner_line_counts_before_an_outer_one():
    nearness, (hunk,) = nearest_hunks(hunks(), [], [line(4, "package/other.py"), line(10)])

    assert (nearness, hunk.file) == (Nearness.AT_THE_LINE, "src/package/other.py")


def test_the_nearest_hunk_of_a_file_on_the_stack_is_taken_if_no_line_changed():
    nearness, (hunk,) = nearest_hunks(hunks(), [], [line(1, "package/unchanged.py"), line(31)])

    assert (nearness, hunk.before) == (Nearness.ON_THE_STACK, 40)


def test_a_file_of_a_dependency_with_the_same_name_is_none_of_the_project():
    nearness, found = nearest_hunks(hunks(), [], [line(10, root="dependency")])

    assert nearness is Nearness.ELSEWHERE
    assert len(found) == 3


def test_nothing_changed_in_python():
    assert nearest_hunks([], [], [line(10)]) == (Nearness.NOWHERE, ())
