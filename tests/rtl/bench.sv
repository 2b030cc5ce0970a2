// Runs every tile of a folder that `accel-sim export-vectors` wrote and checks each by itself:
// all sums, the clamped additions, and the cycles from start to end.
//
//   iverilog -g2012 -s bench -P bench.ROWS=4 ... -o bench *.sv && cd FOLDER && vvp .../bench
//
// One line per tile, then how many passed. A line of tiles.txt is: name of the tile, rows and
// columns in use, steps, outputs, 1 if it goes on from stored sums, cycles, clamped additions.
module bench;
  parameter DATAFLOW = 0;
  localparam OUTPUT_STATIONARY = 0, WEIGHT_STATIONARY = 1, INPUT_STATIONARY = 2, ADDER_TREE = 3;
  parameter ROWS = 4;
  parameter COLS = 4;
  parameter IFM_BITS = 8;
  parameter IFM_SIGNED = 1;
  parameter OWN_IFM = 0;
  parameter WEIGHT_BITS = 8;
  parameter ACC_BITS = 32;
  parameter SATURATES = 0;
  parameter PIPELINE = 0;
  localparam DEPTH = 1 << 16;
  localparam PATIENCE = 1 << 20;

  logic clk = 0, reset = 1, start = 0, goes_on = 0;
  logic [15:0] steps = 0;
  logic [ROWS*COLS*IFM_BITS-1:0]    ifm = 0;
  logic [ROWS*COLS*WEIGHT_BITS-1:0] weights = 0;
  logic [COLS*ACC_BITS-1:0]         psum_in = 0;
  wire [COLS*ACC_BITS-1:0] psum_out;
  wire fetch, fetch_held, fetch_psum, busy, valid_out;
  wire [31:0] clamps;
  always #5 clk = ~clk;

  generate
    if (DATAFLOW == OUTPUT_STATIONARY) begin : gen_output_stationary
      assign fetch_held = 0;
      assign fetch_psum = valid_out;
      output_stationary_array #(
          .ROWS(ROWS), .COLS(COLS), .IFM_BITS(IFM_BITS), .IFM_SIGNED(IFM_SIGNED),
          .WEIGHT_BITS(WEIGHT_BITS), .ACC_BITS(ACC_BITS), .SATURATES(SATURATES),
          .PIPELINE(PIPELINE)) dut (
          .clk, .reset, .start, .steps, .goes_on, .fetch, .ifm(ifm[ROWS*IFM_BITS-1:0]),
          .weights(weights[COLS*WEIGHT_BITS-1:0]), .busy, .drains(valid_out), .psum_out, .psum_in,
          .clamps);
    end else if (DATAFLOW == ADDER_TREE) begin : gen_adder_tree
      localparam IFMS = OWN_IFM ? COLS : 1;
      adder_tree_array #(
          .ROWS(ROWS), .COLS(COLS), .IFM_BITS(IFM_BITS), .IFM_SIGNED(IFM_SIGNED),
          .OWN_IFM(OWN_IFM), .WEIGHT_BITS(WEIGHT_BITS), .ACC_BITS(ACC_BITS),
          .SATURATES(SATURATES), .PIPELINE(PIPELINE)) dut (
          .clk, .reset, .start, .steps, .goes_on, .fetch_held,
          .weights(weights[COLS*WEIGHT_BITS-1:0]), .fetch, .ifm(ifm[ROWS*IFMS*IFM_BITS-1:0]),
          .fetch_psum, .psum_in, .busy, .valid_out, .psum_out, .clamps);
    end else begin : gen_held_operand
      localparam HOLDS_IFM = DATAFLOW == INPUT_STATIONARY;
      localparam HELD_BITS = HOLDS_IFM ? IFM_BITS : WEIGHT_BITS;
      localparam STREAM_BITS = HOLDS_IFM ? WEIGHT_BITS : IFM_BITS;
      wire [COLS*HELD_BITS-1:0] held = HOLDS_IFM ? ifm : weights;
      wire [ROWS*STREAM_BITS-1:0] stream = HOLDS_IFM ? weights : ifm;
      assign fetch_psum = valid_out;
      held_operand_array #(
          .ROWS(ROWS), .COLS(COLS), .HELD_BITS(HELD_BITS),
          .HELD_SIGNED(HOLDS_IFM ? IFM_SIGNED : 1), .STREAM_BITS(STREAM_BITS),
          .STREAM_SIGNED(HOLDS_IFM ? 1 : IFM_SIGNED), .ACC_BITS(ACC_BITS),
          .SATURATES(SATURATES), .PIPELINE(PIPELINE)) dut (
          .clk, .reset, .start, .steps, .goes_on, .fetch_held, .held, .fetch, .stream, .busy,
          .valid_out, .psum_out, .psum_in, .clamps);
    end
  endgenerate

  // The files of a tile, one value per word; of the next tile its stored sums.
  logic [IFM_BITS-1:0]    ifm_file     [0:DEPTH-1];
  logic [WEIGHT_BITS-1:0] weights_file [0:DEPTH-1];
  logic [ACC_BITS-1:0]    psum_in_file [0:DEPTH-1];
  logic [ACC_BITS-1:0]    psum_out_file[0:DEPTH-1];

  integer list, fields;
  logic [8*32-1:0] name, next_name;
  logic [8*64-1:0] path;
  integer rows, cols, n_steps, n_outputs, has_psum, expected_cycles, expected_clamps;
  integer next_rows, next_cols, next_steps, next_outputs, next_has_psum, next_cycles, next_clamps;
  integer ifm_values, weight_values, step, held_row, sum_in, sum_out, cycles, mismatches, clamps_before, i, j;
  integer tiles = 0, passed = 0;

  task read_next_line;
    fields = $fscanf(list, "%s %d %d %d %d %d %d %d", next_name, next_rows, next_cols, next_steps,
                     next_outputs, next_has_psum, next_cycles, next_clamps);
  endtask

  task take_next_line;
    begin
      name = next_name;
      rows = next_rows;
      cols = next_cols;
      n_steps = next_steps;
      n_outputs = next_outputs;
      has_psum = next_has_psum;
      expected_cycles = next_cycles;
      expected_clamps = next_clamps;
      case (DATAFLOW)
        OUTPUT_STATIONARY: begin
          ifm_values = n_steps * rows;
          weight_values = n_steps * cols;
        end
        WEIGHT_STATIONARY: begin
          ifm_values = n_steps * rows;
          weight_values = rows * cols;
        end
        INPUT_STATIONARY: begin
          ifm_values = rows * cols;
          weight_values = n_steps * rows;
        end
        default: begin
          ifm_values = n_steps * rows * (OWN_IFM ? cols : 1);
          weight_values = rows * cols;
        end
      endcase
    end
  endtask

  task read_psum_in(input logic [8*32-1:0] of_tile, input integer values);
    begin
      $sformat(path, "%0s_psum_in.hex", of_tile);
      $readmemh(path, psum_in_file, 0, values - 1);
    end
  endtask

  task read_files;
    begin
      $sformat(path, "%0s_ifm.hex", name);
      $readmemh(path, ifm_file, 0, ifm_values - 1);
      $sformat(path, "%0s_weights.hex", name);
      $readmemh(path, weights_file, 0, weight_values - 1);
      $sformat(path, "%0s_psum_out.hex", name);
      $readmemh(path, psum_out_file, 0, n_outputs * cols - 1);
    end
  endtask

  // Lanes of a vector that a tile does not use are zero.
  task drive_ifm(input integer first, input integer values);
    begin
      ifm = 0;
      for (i = 0; i < values; i = i + 1) ifm[i*IFM_BITS+:IFM_BITS] = ifm_file[first+i];
    end
  endtask

  task drive_own_ifm(input integer first, input integer used_rows);
    begin
      ifm = 0;
      for (j = 0; j < used_rows; j = j + 1)
        for (i = 0; i < cols; i = i + 1)
          ifm[(j*COLS+i)*IFM_BITS+:IFM_BITS] = ifm_file[first+j*cols+i];
    end
  endtask

  task drive_weights(input integer first, input integer values);
    begin
      weights = 0;
      for (i = 0; i < values; i = i + 1)
        weights[i*WEIGHT_BITS+:WEIGHT_BITS] = weights_file[first+i];
    end
  endtask

  task drive_psum_in(input integer sum, input integer sums, input integer values);
    begin
      psum_in = 0;
      if (sum < sums)
        for (i = 0; i < values; i = i + 1)
          psum_in[i*ACC_BITS+:ACC_BITS] = psum_in_file[sum*values+i];
    end
  endtask

  task drive_operands;
    begin
      case (DATAFLOW)
        OUTPUT_STATIONARY: begin
          drive_ifm(step * rows, fetch ? rows : 0);
          drive_weights(step * cols, fetch ? cols : 0);
        end
        WEIGHT_STATIONARY: begin
          drive_ifm(step * rows, fetch ? rows : 0);
          drive_weights((ROWS - 1 - held_row) * cols, held_row >= ROWS - rows ? cols : 0);
        end
        INPUT_STATIONARY: begin
          drive_weights(step * rows, fetch ? rows : 0);
          drive_ifm((ROWS - 1 - held_row) * cols, held_row >= ROWS - rows ? cols : 0);
        end
        default: begin
          if (OWN_IFM) drive_own_ifm(step * rows * cols, fetch ? rows : 0);
          else drive_ifm(step * rows, fetch ? rows : 0);
          drive_weights((ROWS - 1 - held_row) * cols, held_row >= ROWS - rows ? cols : 0);
        end
      endcase
      if (fetch) step = step + 1;
      if (fetch_held) held_row = held_row + 1;
    end
  endtask

  task drive_sums;
    // An output-stationary array takes the next tile's sums while it gives away these.
    if (fetch_psum) begin
      if (DATAFLOW == OUTPUT_STATIONARY)
        drive_psum_in(sum_in, next_has_psum ? next_outputs : 0, next_cols);
      else drive_psum_in(sum_in, has_psum ? n_outputs : 0, cols);
      sum_in = sum_in + 1;
    end
  endtask

  task check_sums;
    if (valid_out) begin
      if (sum_out < n_outputs)
        for (i = 0; i < cols; i = i + 1)
          if (psum_out[i*ACC_BITS+:ACC_BITS] !== psum_out_file[sum_out*cols+i])
            mismatches = mismatches + 1;
      sum_out = sum_out + 1;
    end
  endtask

  task run_tile;
    begin
      step = 0;
      held_row = 0;
      sum_in = 0;
      sum_out = 0;
      cycles = 0;
      mismatches = 0;
      clamps_before = clamps;
      start = 1;
      @(negedge clk);
      start = 0;
      while (busy && cycles < PATIENCE) begin
        drive_operands;
        drive_sums;
        #1 check_sums;
        cycles = cycles + 1;
        @(negedge clk);
      end
      if (sum_out < n_outputs) mismatches = mismatches + 1;
    end
  endtask

  initial begin
    list = $fopen("tiles.txt", "r");
    if (list == 0) begin
      $display("tiles.txt: cannot be read; run this in a folder that export-vectors wrote");
      $finish;
    end
    read_next_line;
    repeat (3) @(negedge clk);
    reset = 0;
    if (DATAFLOW == OUTPUT_STATIONARY && next_has_psum) begin
      // Nothing leaves before the first tile; its sums enter all the same.
      read_psum_in(next_name, next_outputs * next_cols);
      n_outputs = 0;
      run_tile;
    end
    while (fields == 8) begin
      take_next_line;
      read_next_line;
      if (fields != 8) next_has_psum = 0;
      read_files;
      if (DATAFLOW == OUTPUT_STATIONARY) begin
        if (next_has_psum) read_psum_in(next_name, next_outputs * next_cols);
      end else if (has_psum) read_psum_in(name, n_outputs * cols);
      steps = n_steps;
      goes_on = has_psum;
      run_tile;
      tiles = tiles + 1;
      if (mismatches == 0 && cycles == expected_cycles
          && clamps - clamps_before == expected_clamps) passed = passed + 1;
      $display("%0s: %0d cycles, %0d clamps, %0d wrong sums", name, cycles,
               clamps - clamps_before, mismatches);
    end
    $display("%0d of %0d tiles passed", passed, tiles);
    $finish;
  end
endmodule
