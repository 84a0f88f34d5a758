"""What an optimised program does, counted in texts that were written by hand."""

import account
import pytest

TEXT = """HloModule jit__chunk, is_scheduled=true

FileNames
1 "/jaxsoft/training/fit.py"
2 "/jaxsoft/ops/norm.py"

FunctionNames
1 "train_chunk"
2 "standardized"

FileLocations
1 {file_name_id=1 function_name_id=1 line=5 end_line=5 column=1 end_column=2}
2 {file_name_id=2 function_name_id=2 line=9 end_line=9 column=1 end_column=2}

StackFrames
1 {file_location_id=1 parent_frame_id=1}
2 {file_location_id=2 parent_frame_id=2}

%row (param_0: f32[100,4], param_1: s32[]) -> f32[1,4] {
  %param_0 = f32[100,4]{1,0} parameter(0)
  %param_1 = s32[] parameter(1)
  ROOT %slice = f32[1,4]{1,0} dynamic-slice(%param_0, %param_1, %param_1), dynamic_slice_sizes={1,4}
}

%put (param_0.1: f32[100,4], param_1.1: f32[1,4], param_2.1: s32[]) -> f32[100,4] {
  %param_0.1 = f32[100,4]{1,0} parameter(0)
  %param_1.1 = f32[1,4]{1,0} parameter(1)
  %param_2.1 = s32[] parameter(2)
  ROOT %update = f32[100,4]{1,0} dynamic-update-slice(%param_0.1, %param_1.1, %param_2.1, %param_2.1)
}

%inner (arg.1: (s32[], f32[2,4])) -> (s32[], f32[2,4]) {
  %arg.1 = (s32[], f32[2,4]{1,0}) parameter(0)
  %i.1 = s32[] get-tuple-element(%arg.1), index=0
  %x.1 = f32[2,4]{1,0} get-tuple-element(%arg.1), index=1
  %copy.1 = f32[2,4]{1,0} copy(%x.1)
  ROOT %next.1 = (s32[], f32[2,4]{1,0}) tuple(%i.1, %copy.1)
}

%until (arg.2: (s32[], f32[2,4])) -> pred[] {
  %arg.2 = (s32[], f32[2,4]{1,0}) parameter(0)
  %i.2 = s32[] get-tuple-element(%arg.2), index=0
  %three = s32[] constant(3)
  ROOT %less = pred[] compare(%i.2, %three), direction=LT
}

%step (arg: (s32[], f32[100,4], f32[2,4])) -> (s32[], f32[100,4], f32[2,4]) {
  %arg = (s32[], f32[100,4]{1,0}, f32[2,4]{1,0}) parameter(0)
  %i = s32[] get-tuple-element(%arg), index=0
  %table = f32[100,4]{1,0} get-tuple-element(%arg), index=1
  %x = f32[2,4]{1,0} get-tuple-element(%arg), index=2
  %taken = f32[1,4]{1,0} fusion(%table, %i), kind=kLoop, calls=%row, metadata={op_name="norm0/sub" stack_frame_id=2}
  %given = f32[100,4]{1,0} fusion(%table, %taken, %i), kind=kLoop, calls=%put, metadata={op_name="threefry2x32"}
  %both = (s32[], f32[2,4]{1,0}) tuple(%i, %x)
  %rounds = (s32[], f32[2,4]{1,0}) while(%both), condition=%until, body=%inner
  %y = f32[2,4]{1,0} get-tuple-element(%rounds), index=1
  ROOT %next = (s32[], f32[100,4]{1,0}, f32[2,4]{1,0}) tuple(%i, %given, %y)
}

%more (arg.3: (s32[], f32[100,4], f32[2,4])) -> pred[] {
  %arg.3 = (s32[], f32[100,4]{1,0}, f32[2,4]{1,0}) parameter(0)
  ROOT %always = pred[] constant(true)
}

ENTRY %main (given.0: f32[100,4], x.0: f32[2,4]) -> f32[100,4] {
  %given.0 = f32[100,4]{1,0} parameter(0)
  %x.0 = f32[2,4]{1,0} parameter(1)
  %zero = s32[] constant(0)
  %first = (s32[], f32[100,4]{1,0}, f32[2,4]{1,0}) tuple(%zero, %given.0, %x.0)
  %steps = (s32[], f32[100,4]{1,0}, f32[2,4]{1,0}) while(%first), condition=%more, body=%step, metadata={op_name="while" stack_frame_id=1}, backend_config={"known_trip_count":{"n":"5"}}
  %trained = f32[100,4]{1,0} get-tuple-element(%steps), index=1
  ROOT %out = f32[100,4]{1,0} copy(%trained)
}
"""


@pytest.fixture(scope="module")
def found():
    return {kernel.name: kernel for kernel in account.kernels(TEXT)}


def test_loops_are_multiplied_out_and_what_is_free_is_no_kernel(found):
    assert {name: kernel.times for name, kernel in found.items()} == {"taken": 5, "given": 5, "copy.1": 15, "out": 1}
    assert [kernel.step for kernel in found.values()] == [0, 0, 0, -1]
    assert [kernel.trains for kernel in found.values()] == [True, True, True, False]


def test_a_loop_inside_a_step_is_seen(found):
    assert [(loop.name, loop.trips) for loop in account.loops_in_steps([*found.values()])] == [("rounds", 3)]
    assert account.loops_in_steps([found["taken"]]) == []


def test_slices_and_updates_in_place_move_what_they_take_and_put(found):
    row, index = 16, 4
    assert found["taken"].bytes == row + index + row
    assert found["given"].bytes == row + index + row, "the table is neither read nor written"
    assert found["copy.1"].bytes == 2 * 32 and found["out"].bytes == 2 * 1600


def test_a_kernel_is_of_the_innermost_line_that_is_known(found):
    assert found["taken"].frames == ("/jaxsoft/ops/norm.py:standardized", "/jaxsoft/training/fit.py:train_chunk")
    parts = [account.part(found[name]) for name in ("taken", "given", "out")]
    assert parts == ["norm, ReLU, pool", "order, random numbers", "the rest"]


@pytest.mark.parametrize(
    ("kind", "bytes_"),
    [
        ("pred[3]{0}", 3),
        ("(f32[2,3]{1,0}, bf16[5]{0})", 34),
        ("f32[]", 4),
        ("f32[9,3]{1,0:T(8,128)}", 16 * 128 * 4),
        ("f32[9,3]{0,1:T(8,128)}", 8 * 128 * 4),
        ("bf16[256,32,32,3]{0,2,1,3:T(8,128)(2,1)}", 256 * 32 * 32 * 3 * 2),
        ("f32[512,512]{1,0:T(8,128)S(1)}", 0),
    ],
)
def test_bytes_of_a_type_are_those_in_main_memory_with_what_tiles_pad(kind, bytes_):
    assert account.size(kind) == bytes_
