// Weight-stationary systolic array; with the operands exchanged, an input-stationary one.
//
// The operand that is held is shifted in from the top, ROWS cycles, last row first. Then the other
// streams in from the left, and sums run down the columns, one element per cycle, from zero. At
// the foot the columns are brought into step, and `psum_in` is added: the sum that the folds before
// have stored. A tile takes ROWS + steps + ROWS + COLS - 2 + PIPELINE cycles and one more, of the
// register below the last row.
module held_operand_array #(
    parameter ROWS = 4,
    parameter COLS = 4,
    parameter HELD_BITS = 8,
    parameter HELD_SIGNED = 1,
    parameter STREAM_BITS = 8,
    parameter STREAM_SIGNED = 1,
    parameter ACC_BITS = 32,
    parameter SATURATES = 0,
    parameter PIPELINE = 0
) (
    input  logic                        clk,
    input  logic                        reset,
    input  logic                        start,
    input  logic [15:0]                 steps,
    input  logic                        goes_on,      // adds psum_in
    output logic                        fetch_held,   // a row of the held operand is taken
    input  logic [COLS*HELD_BITS-1:0]   held,
    output logic                        fetch,        // a step of the streamed operand is taken
    input  logic [ROWS*STREAM_BITS-1:0] stream,
    output logic                        busy,
    output logic                        valid_out,    // the sums of a step leave
    output logic [COLS*ACC_BITS-1:0]    psum_out,
    input  logic [COLS*ACC_BITS-1:0]    psum_in,
    output logic [31:0]                 clamps        // additions clamped since reset
);
  typedef enum logic [1:0] {IDLE, LOAD, RUN} state_t;
  state_t state;
  logic [15:0] cycle, left;
  assign busy = state != IDLE;
  assign fetch_held = state == LOAD;
  assign fetch = state == RUN && cycle < steps;
  always_ff @(posedge clk) begin
    cycle <= cycle + 1;
    if (reset) state <= IDLE;
    else case (state)
      IDLE: if (start) begin
        state <= LOAD;
        cycle <= 0;
      end
      LOAD: if (cycle == ROWS - 1) begin
        state <= RUN;
        cycle <= 0;
        left <= steps;
      end
      default: if (valid_out) begin
        left <= left - 1;
        if (left == 1) state <= IDLE;
      end
    endcase
  end

  // As they enter elements; [.][COLS] and [ROWS][.] have left the array.
  wire [STREAM_BITS-1:0] stream_at[0:ROWS-1][0:COLS];
  wire                   valid_at [0:ROWS-1][0:COLS];
  wire [HELD_BITS-1:0]   held_at  [0:ROWS][0:COLS-1];
  wire [ACC_BITS-1:0]    psum_at  [0:ROWS][0:COLS-1];
  wire [ROWS*COLS-1:0]   clamps_at;
  wire [COLS-1:0]        foot_clamps_at;

  genvar i, j;
  generate
    for (i = 0; i < ROWS; i = i + 1) begin : gen_left
      delay #(.BITS(STREAM_BITS + 1), .CYCLES(i)) skew (
          .clk,
          .in({fetch && !reset, stream[i*STREAM_BITS+:STREAM_BITS]}),
          .out({valid_at[i][0], stream_at[i][0]}));
    end
    for (i = 0; i < ROWS; i = i + 1) begin : gen_row
      for (j = 0; j < COLS; j = j + 1) begin : gen_element
        held_operand_element #(
            .HELD_BITS(HELD_BITS), .HELD_SIGNED(HELD_SIGNED), .STREAM_BITS(STREAM_BITS),
            .STREAM_SIGNED(STREAM_SIGNED), .ACC_BITS(ACC_BITS), .SATURATES(SATURATES),
            .PIPELINE(PIPELINE)) element (
            .clk, .reset, .loads(fetch_held),
            .held(held_at[i][j]), .held_next(held_at[i+1][j]),
            .valid(valid_at[i][j]), .valid_next(valid_at[i][j+1]),
            .stream(stream_at[i][j]), .stream_next(stream_at[i][j+1]),
            .psum(psum_at[i][j]), .psum_next(psum_at[i+1][j]),
            .clamps(clamps_at[i*COLS+j]));
      end
    end
    for (j = 0; j < COLS; j = j + 1) begin : gen_column
      wire [ACC_BITS-1:0] column;
      wire too_large;
      assign held_at[0][j] = held[j*HELD_BITS+:HELD_BITS];
      assign psum_at[0][j] = {ACC_BITS{1'b0}};
      // The last column is the last to end; the others wait for it.
      delay #(.BITS(ACC_BITS), .CYCLES(COLS - 1 - j)) wait_for_last (
          .clk, .in(psum_at[ROWS][j]), .out(column));
      accumulator_adder #(.BITS(ACC_BITS), .TERM_BITS(ACC_BITS), .SATURATES(SATURATES)) add (
          .sum(goes_on ? psum_in[j*ACC_BITS+:ACC_BITS] : {ACC_BITS{1'b0}}), .term(column),
          .total(psum_out[j*ACC_BITS+:ACC_BITS]), .clamps(too_large));
      assign foot_clamps_at[j] = valid_out && too_large;
    end
  endgenerate
  delay #(.BITS(1), .CYCLES(PIPELINE)) last_valid (
      .clk, .in(valid_at[ROWS-1][COLS]), .out(valid_out));

  always_ff @(posedge clk)
    clamps <= reset ? 0 : clamps + $countones(clamps_at) + $countones(foot_clamps_at);
endmodule

// One processing element: what it holds, a multiplier, an adder, and registers to its neighbours.
module held_operand_element #(
    parameter HELD_BITS = 8,
    parameter HELD_SIGNED = 1,
    parameter STREAM_BITS = 8,
    parameter STREAM_SIGNED = 1,
    parameter ACC_BITS = 32,
    parameter SATURATES = 0,
    parameter PIPELINE = 0
) (
    input  logic                   clk,
    input  logic                   reset,
    input  logic                   loads,
    input  logic [HELD_BITS-1:0]   held,
    output logic [HELD_BITS-1:0]   held_next,
    input  logic                   valid,
    output logic                   valid_next,
    input  logic [STREAM_BITS-1:0] stream,
    output logic [STREAM_BITS-1:0] stream_next,
    input  logic [ACC_BITS-1:0]    psum,
    output logic [ACC_BITS-1:0]    psum_next,
    output logic                   clamps
);
  localparam PRODUCT_BITS = HELD_BITS + STREAM_BITS + 2;
  wire signed [PRODUCT_BITS-1:0] product;
  wire adds, too_large;
  wire [ACC_BITS-1:0] total;
  multiplier #(.A_BITS(STREAM_BITS), .A_SIGNED(STREAM_SIGNED), .B_BITS(HELD_BITS),
               .B_SIGNED(HELD_SIGNED), .CYCLES(PIPELINE)) multiply (
      .clk, .a(stream), .b(held_next), .product);
  delay #(.BITS(1), .CYCLES(PIPELINE)) flag (.clk, .in(valid), .out(adds));
  accumulator_adder #(.BITS(ACC_BITS), .TERM_BITS(PRODUCT_BITS), .SATURATES(SATURATES)) add (
      .sum(psum), .term(product), .total, .clamps(too_large));
  assign clamps = adds && too_large;
  always_ff @(posedge clk) begin
    if (loads) held_next <= held;
    stream_next <= stream;
    valid_next <= valid && !reset;
    psum_next <= total;
  end
endmodule
