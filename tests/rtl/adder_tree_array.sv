// Channel-parallel array: ROWS activations of one pixel go to all columns, each column adds its
// ROWS products in a tree that loses nothing, and the tree's sum goes into the accumulator.
//
// An output takes `steps` cycles, a tile outputs * steps cycles, PIPELINE more, and one for the
// register of the accumulator.
module adder_tree_array #(
    parameter ROWS = 4,
    parameter COLS = 4,
    parameter IFM_BITS = 8,
    parameter IFM_SIGNED = 1,
    parameter WEIGHT_BITS = 8,
    parameter ACC_BITS = 32,
    parameter SATURATES = 0,
    parameter PIPELINE = 0
) (
    input  logic                             clk,
    input  logic                             reset,
    input  logic                             start,
    input  logic [15:0]                      steps,      // of one output
    input  logic [15:0]                      outputs,
    input  logic                             goes_on,    // from psum_in, not from zero
    output logic                             fetch,      // the operands of a step are taken
    input  logic [ROWS*IFM_BITS-1:0]         ifm,
    input  logic [ROWS*COLS*WEIGHT_BITS-1:0] weights,    // row by row
    output logic                             fetch_psum, // the sums to go on from are taken
    input  logic [COLS*ACC_BITS-1:0]         psum_in,
    output logic                             busy,
    output logic                             valid_out,  // the sums of an output leave
    output logic [COLS*ACC_BITS-1:0]         psum_out,
    output logic [31:0]                      clamps      // additions clamped since reset
);
  localparam PRODUCT_BITS = IFM_BITS + WEIGHT_BITS + 2;
  localparam TREE_BITS = PRODUCT_BITS + $clog2(ROWS + 1);

  logic [15:0] step, left;
  logic running;
  wire is_first = step == 0;
  wire is_last = step == steps - 1;
  wire valid, first, last;
  logic [15:0] unfinished;
  assign fetch = running;
  assign busy = unfinished != 0;
  always_ff @(posedge clk) begin
    if (reset) begin
      running <= 0;
      unfinished <= 0;
    end else if (start && !busy) begin
      running <= 1;
      step <= 0;
      left <= outputs;
      unfinished <= outputs;
    end else begin
      if (running) begin
        step <= is_last ? 0 : step + 1;
        if (is_last) left <= left - 1;
        if (is_last && left == 1) running <= 0;
      end
      if (valid_out) unfinished <= unfinished - 1;
    end
  end

  delay #(.BITS(3), .CYCLES(PIPELINE)) flags (
      .clk, .in({running && !reset, is_first, is_last}), .out({valid, first, last}));
  delay #(.BITS(1), .CYCLES(1)) output_register (
      .clk, .in(valid && last && !reset), .out(valid_out));
  assign fetch_psum = valid && first;

  wire [COLS-1:0] clamps_at;
  genvar i, j;
  generate
    for (j = 0; j < COLS; j = j + 1) begin : gen_column
      // A binary tree: node n adds nodes 2n + 1 and 2n + 2, the last ROWS nodes are products.
      wire signed [TREE_BITS-1:0] node [0:2*ROWS-2];
      logic [ACC_BITS-1:0] acc;
      wire [ACC_BITS-1:0] total;
      wire too_large;
      for (i = 0; i < ROWS; i = i + 1) begin : gen_leaf
        wire signed [PRODUCT_BITS-1:0] product;
        multiplier #(.A_BITS(IFM_BITS), .A_SIGNED(IFM_SIGNED), .B_BITS(WEIGHT_BITS),
                     .CYCLES(PIPELINE)) multiply (
            .clk, .a(ifm[i*IFM_BITS+:IFM_BITS]), .b(weights[(i*COLS+j)*WEIGHT_BITS+:WEIGHT_BITS]),
            .product);
        assign node[ROWS-1+i] = product;
      end
      for (i = 0; i < ROWS - 1; i = i + 1) begin : gen_node
        assign node[i] = node[2*i+1] + node[2*i+2];
      end
      accumulator_adder #(.BITS(ACC_BITS), .TERM_BITS(TREE_BITS), .SATURATES(SATURATES)) add (
          .sum(!first ? acc : goes_on ? psum_in[j*ACC_BITS+:ACC_BITS] : {ACC_BITS{1'b0}}),
          .term(node[0]), .total, .clamps(too_large));
      assign clamps_at[j] = valid && too_large;
      assign psum_out[j*ACC_BITS+:ACC_BITS] = acc;
      always_ff @(posedge clk) if (valid) acc <= total;
    end
  endgenerate

  always_ff @(posedge clk) clamps <= reset ? 0 : clamps + $countones(clamps_at);
endmodule
