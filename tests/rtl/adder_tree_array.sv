// Channel-parallel array: every column holds ROWS weights, a step brings ROWS activations to all
// columns at once, and each column adds its ROWS products in a tree that loses nothing.
//
// Weights are shifted in from the top, ROWS cycles, last row first. Then each step's sums are added
// to `psum_in`: the sums that the folds before have stored. A tile takes ROWS + steps + PIPELINE
// cycles and one more, of the register at the output. With OWN_IFM every column takes activations
// of its own.
module adder_tree_array #(
    parameter ROWS = 4,
    parameter COLS = 4,
    parameter IFM_BITS = 8,
    parameter IFM_SIGNED = 1,
    parameter OWN_IFM = 0,
    parameter WEIGHT_BITS = 8,
    parameter ACC_BITS = 32,
    parameter SATURATES = 0,
    parameter PIPELINE = 0,
    localparam IFMS = OWN_IFM ? COLS : 1
) (
    input  logic                          clk,
    input  logic                          reset,
    input  logic                          start,
    input  logic [15:0]                   steps,
    input  logic                          goes_on,    // from psum_in, not from zero
    output logic                          fetch_held, // a row of weights is taken
    input  logic [COLS*WEIGHT_BITS-1:0]   weights,
    output logic                          fetch,      // the activations of a step are taken
    input  logic [ROWS*IFMS*IFM_BITS-1:0] ifm,        // row by row
    output logic                          fetch_psum, // the sums to go on from are taken
    input  logic [COLS*ACC_BITS-1:0]      psum_in,
    output logic                          busy,
    output logic                          valid_out,  // the sums of a step leave
    output logic [COLS*ACC_BITS-1:0]      psum_out,
    output logic [31:0]                   clamps      // additions clamped since reset
);
  localparam PRODUCT_BITS = IFM_BITS + WEIGHT_BITS + 2;
  localparam TREE_BITS = PRODUCT_BITS + $clog2(ROWS + 1);

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

  wire valid;
  delay #(.BITS(1), .CYCLES(PIPELINE)) flag (.clk, .in(fetch && !reset), .out(valid));
  delay #(.BITS(1), .CYCLES(1)) output_register (.clk, .in(valid && !reset), .out(valid_out));
  assign fetch_psum = valid;

  wire [COLS-1:0] clamps_at;
  genvar i, j;
  generate
    for (j = 0; j < COLS; j = j + 1) begin : gen_column
      // A binary tree: node n adds nodes 2n + 1 and 2n + 2, the last ROWS nodes are products.
      wire signed [TREE_BITS-1:0] node [0:2*ROWS-2];
      logic [WEIGHT_BITS-1:0] held [0:ROWS-1];
      logic [ACC_BITS-1:0] sum;
      wire [ACC_BITS-1:0] total;
      wire too_large;
      for (i = 0; i < ROWS; i = i + 1) begin : gen_leaf
        localparam OPERAND = OWN_IFM ? i * COLS + j : i;
        wire signed [PRODUCT_BITS-1:0] product;
        wire [WEIGHT_BITS-1:0] above = i == 0 ? weights[j*WEIGHT_BITS+:WEIGHT_BITS] : held[i-(i>0)];
        always_ff @(posedge clk) if (fetch_held) held[i] <= above;
        multiplier #(.A_BITS(IFM_BITS), .A_SIGNED(IFM_SIGNED), .B_BITS(WEIGHT_BITS),
                     .CYCLES(PIPELINE)) multiply (
            .clk, .a(ifm[OPERAND*IFM_BITS+:IFM_BITS]), .b(held[i]), .product);
        assign node[ROWS-1+i] = product;
      end
      for (i = 0; i < ROWS - 1; i = i + 1) begin : gen_node
        assign node[i] = node[2*i+1] + node[2*i+2];
      end
      accumulator_adder #(.BITS(ACC_BITS), .TERM_BITS(TREE_BITS), .SATURATES(SATURATES)) add (
          .sum(goes_on ? psum_in[j*ACC_BITS+:ACC_BITS] : {ACC_BITS{1'b0}}),
          .term(node[0]), .total, .clamps(too_large));
      assign clamps_at[j] = valid && too_large;
      assign psum_out[j*ACC_BITS+:ACC_BITS] = sum;
      always_ff @(posedge clk) sum <= total;
    end
  endgenerate

  always_ff @(posedge clk) clamps <= reset ? 0 : clamps + $countones(clamps_at);
endmodule
