// Output-stationary systolic array: a sum stays in every processing element, the operands of a
// step enter at the left and at the top and move on by one element per cycle.
//
// A tile takes steps + ROWS + COLS - 2 + PIPELINE cycles to its last addition, and ROWS more to
// drain, one row per cycle. The row that leaves is replaced by `psum_in`: a tile that goes on
// from stored sums finds them in place. What a tile leaves idle is fed with zeros.
module output_stationary_array #(
    parameter ROWS = 4,
    parameter COLS = 4,
    parameter IFM_BITS = 8,
    parameter IFM_SIGNED = 1,
    parameter WEIGHT_BITS = 8,
    parameter ACC_BITS = 32,
    parameter SATURATES = 0,
    parameter PIPELINE = 0
) (
    input  logic                        clk,
    input  logic                        reset,
    input  logic                        start,
    input  logic [15:0]                 steps,      // 0 only drains, and so loads sums
    input  logic                        goes_on,    // from the sums in the array, not from zero
    output logic                        fetch,      // the operands of a step are taken
    input  logic [ROWS*IFM_BITS-1:0]    ifm,
    input  logic [COLS*WEIGHT_BITS-1:0] weights,
    output logic                        busy,
    output logic                        drains,     // a row leaves and a row enters
    output logic [COLS*ACC_BITS-1:0]    psum_out,
    input  logic [COLS*ACC_BITS-1:0]    psum_in,
    output logic [31:0]                 clamps      // additions clamped since reset
);
  localparam SKEW = ROWS + COLS - 2 + PIPELINE;

  typedef enum logic [1:0] {IDLE, RUN, DRAIN} state_t;
  state_t state;
  logic [15:0] cycle;  // of the state
  assign busy = state != IDLE;
  assign fetch = state == RUN && cycle < steps;
  assign drains = state == DRAIN;
  always_ff @(posedge clk) begin
    cycle <= cycle + 1;
    if (reset) state <= IDLE;
    else case (state)
      IDLE: if (start) begin
        state <= steps == 0 ? DRAIN : RUN;
        cycle <= 0;
      end
      RUN: if (cycle == steps + SKEW - 1) begin
        state <= DRAIN;
        cycle <= 0;
      end
      default: if (cycle == ROWS - 1) state <= IDLE;
    endcase
  end

  // Operands as they enter elements; [.][COLS] and [ROWS][.] have left the array.
  wire [IFM_BITS-1:0]    ifm_at   [0:ROWS-1][0:COLS];
  wire                   valid_at [0:ROWS-1][0:COLS];
  wire                   first_at [0:ROWS-1][0:COLS];
  wire [WEIGHT_BITS-1:0] weight_at[0:ROWS][0:COLS-1];
  wire [ACC_BITS-1:0]    acc      [0:ROWS-1][0:COLS-1];
  wire [ROWS*COLS-1:0]   clamps_at;

  genvar i, j;
  generate
    for (i = 0; i < ROWS; i = i + 1) begin : gen_left
      delay #(.BITS(IFM_BITS + 2), .CYCLES(i)) skew (
          .clk,
          .in({fetch && !reset, cycle == 0, ifm[i*IFM_BITS+:IFM_BITS]}),
          .out({valid_at[i][0], first_at[i][0], ifm_at[i][0]}));
    end
    for (j = 0; j < COLS; j = j + 1) begin : gen_top
      delay #(.BITS(WEIGHT_BITS), .CYCLES(j)) skew (
          .clk, .in(weights[j*WEIGHT_BITS+:WEIGHT_BITS]), .out(weight_at[0][j]));
      assign psum_out[j*ACC_BITS+:ACC_BITS] = acc[drains ? cycle : 0][j];
    end
    for (i = 0; i < ROWS; i = i + 1) begin : gen_row
      for (j = 0; j < COLS; j = j + 1) begin : gen_element
        output_stationary_element #(
            .IFM_BITS(IFM_BITS), .IFM_SIGNED(IFM_SIGNED), .WEIGHT_BITS(WEIGHT_BITS),
            .ACC_BITS(ACC_BITS), .SATURATES(SATURATES), .PIPELINE(PIPELINE)) element (
            .clk, .reset, .goes_on,
            .valid(valid_at[i][j]), .valid_next(valid_at[i][j+1]),
            .first(first_at[i][j]), .first_next(first_at[i][j+1]),
            .ifm(ifm_at[i][j]), .ifm_next(ifm_at[i][j+1]),
            .weight(weight_at[i][j]), .weight_next(weight_at[i+1][j]),
            .loads(drains && cycle == i), .psum_in(psum_in[j*ACC_BITS+:ACC_BITS]),
            .acc(acc[i][j]), .clamps(clamps_at[i*COLS+j]));
      end
    end
  endgenerate

  always_ff @(posedge clk) clamps <= reset ? 0 : clamps + $countones(clamps_at);
endmodule

// One processing element: a multiplier, an accumulator, and registers to its neighbours.
module output_stationary_element #(
    parameter IFM_BITS = 8,
    parameter IFM_SIGNED = 1,
    parameter WEIGHT_BITS = 8,
    parameter ACC_BITS = 32,
    parameter SATURATES = 0,
    parameter PIPELINE = 0
) (
    input  logic                   clk,
    input  logic                   reset,
    input  logic                   goes_on,
    input  logic                   valid,
    output logic                   valid_next,
    input  logic                   first,
    output logic                   first_next,
    input  logic [IFM_BITS-1:0]    ifm,
    output logic [IFM_BITS-1:0]    ifm_next,
    input  logic [WEIGHT_BITS-1:0] weight,
    output logic [WEIGHT_BITS-1:0] weight_next,
    input  logic                   loads,
    input  logic [ACC_BITS-1:0]    psum_in,
    output logic [ACC_BITS-1:0]    acc,
    output logic                   clamps
);
  localparam PRODUCT_BITS = IFM_BITS + WEIGHT_BITS + 2;
  wire signed [PRODUCT_BITS-1:0] product;
  wire adds, is_first, too_large;
  wire [ACC_BITS-1:0] total;
  multiplier #(.A_BITS(IFM_BITS), .A_SIGNED(IFM_SIGNED), .B_BITS(WEIGHT_BITS),
               .CYCLES(PIPELINE)) multiply (.clk, .a(ifm), .b(weight), .product);
  delay #(.BITS(2), .CYCLES(PIPELINE)) flags (
      .clk, .in({valid, first}), .out({adds, is_first}));
  accumulator_adder #(.BITS(ACC_BITS), .TERM_BITS(PRODUCT_BITS), .SATURATES(SATURATES)) add (
      .sum(is_first && !goes_on ? {ACC_BITS{1'b0}} : acc), .term(product),
      .total, .clamps(too_large));
  assign clamps = adds && too_large;
  always_ff @(posedge clk) begin
    if (loads) acc <= psum_in;
    else if (adds) acc <= total;
    ifm_next <= ifm;
    weight_next <= weight;
    valid_next <= valid && !reset;
    first_next <= first;
  end
endmodule
