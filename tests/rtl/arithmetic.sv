// What all arrays are made of: the product of two operands, the adder of an accumulator, and
// registers in a row.

// A product, after as many registers as the pipeline has.
module multiplier #(
    parameter A_BITS = 8,
    parameter A_SIGNED = 1,
    parameter B_BITS = 8,
    parameter B_SIGNED = 1,
    parameter CYCLES = 0,
    // One bit more for each operand: an unsigned one then is signed, too.
    localparam BITS = A_BITS + B_BITS + 2
) (
    input  logic                   clk,
    input  logic [A_BITS-1:0]      a,
    input  logic [B_BITS-1:0]      b,
    output logic signed [BITS-1:0] product
);
  wire signed [A_BITS:0] wide_a = {A_SIGNED ? a[A_BITS-1] : 1'b0, a};
  wire signed [B_BITS:0] wide_b = {B_SIGNED ? b[B_BITS-1] : 1'b0, b};
  wire signed [BITS-1:0] exact = wide_a * wide_b;
  delay #(.BITS(BITS), .CYCLES(CYCLES)) registers (.clk, .in(exact), .out(product));
endmodule

// sum + term in BITS bits; what does not fit wraps, or is clamped.
module accumulator_adder #(
    parameter BITS = 32,
    parameter TERM_BITS = 18,
    parameter SATURATES = 0,
    localparam WIDE = (BITS > TERM_BITS ? BITS : TERM_BITS) + 1
) (
    input  logic signed [BITS-1:0]      sum,
    input  logic signed [TERM_BITS-1:0] term,
    output logic signed [BITS-1:0]      total,
    output logic                        clamps
);
  localparam signed [WIDE-1:0] HIGHEST = (WIDE'(1) << (BITS - 1)) - 1;
  localparam signed [WIDE-1:0] LOWEST = -HIGHEST - 1;
  wire signed [WIDE-1:0] exact = sum + term;
  wire too_high = exact > HIGHEST;
  wire too_low = exact < LOWEST;
  assign clamps = SATURATES && (too_high || too_low);
  assign total = !clamps ? exact[BITS-1:0] : too_high ? HIGHEST[BITS-1:0] : LOWEST[BITS-1:0];
endmodule

// CYCLES registers in a row; none at all is a wire.
module delay #(
    parameter BITS = 1,
    parameter CYCLES = 1
) (
    input  logic            clk,
    input  logic [BITS-1:0] in,
    output logic [BITS-1:0] out
);
  generate
    if (CYCLES == 0) begin : gen_wire
      assign out = in;
    end else begin : gen_registers
      logic [BITS*CYCLES-1:0] stages;
      assign out = stages[BITS*CYCLES-1-:BITS];
      always_ff @(posedge clk) stages <= {stages, in};
    end
  endgenerate
endmodule
