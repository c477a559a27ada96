import CUDASource
import Tensor

extension HierarchicalOperator {
  func makeState(
    _ widths: HeadWidths, layer: Int, draw: AttentionDraw
  ) throws(DeviceError) -> any AttentionState {
    StreamState(kernels, keepsQueries: !shape.fineQuery, keepsMeans: true)
  }

  /// The launches of a full pass, over the tiles in which the new positions are: so many launches,
  /// whatever the number of streams, and the same bits.
  func step(_ tensors: AttentionTensors, _ states: [any AttentionState]) {
    let tiling =
      shape.fitsTiles
      ? AttentionTiling(
        kernels.driver, heads: shape.heads, widths: HeadWidths(tensors, heads: shape.heads),
        type: tensors.q.buffer.type, biasLength: shape.biasLength) : nil
    guard
      let steps = DecodingSteps(kernels, tensors, states, meansAreFloat: tiling == nil)
    else { return }
    kernels.withFloats(of: tensors.bias) { bias in
      if let tiling {
        run(steps, tiling, bias: bias)
      } else {
        steps.runPlain(PlainShape(shape), bias: bias)
      }
    }
  }

  private func run(_ steps: DecodingSteps, _ tiling: AttentionTiling, bias: View?) {
    var arguments = steps.arguments(bias: bias, heads: shape.heads, scale: shape.scale)
    shape.write(to: &arguments)
    var builder = TileBuilder()
    var means: [TileLists.List] = []
    for level in stride(from: 0, to: Int32.bitWidth, by: HierarchicalPlan.launchLevels) {
      let list = builder.list { tiles in
        for stream in steps.streams {
          let rows = stream.rows.lowerBound >> level..<stream.rows.upperBound >> level
          // A mean is made with the last of its two rows.
          guard rows.lowerBound / 2 < rows.upperBound / 2 else { continue }
          tiles += stream.sequence.tiles(of: level, rows: rows)
        }
      }
      if list.count == 0 { break }
      means.append(list)
    }
    var far: [AttentionTile] = []
    let positions = builder.list { tiles in
      for stream in steps.streams {
        for tile in stream.sequence.tiles(of: 0, rows: stream.rows) {
          var tile = tile
          tile.far = Int32(TiledSequence.tileRows * far.count)
          if !shape.fineQuery { far += farTiles(stream.sequence, of: tile, after: far.count) }
          tiles.append(tile)
        }
      }
    }
    let farList = builder.list { $0 += far }
    let rows = TiledSequence.tileRows * far.count
    let sizes = [4 * rows * tiling.columns, 4 * rows * tiling.heads, 4 * rows * tiling.heads]
    kernels.scratch.lend(sizes) { [arguments] parts in
      steps.run(builder.tiles) { placed in
        var arguments = arguments
        arguments.streams = placed.streams
        arguments.farA = parts[0]
        arguments.farMax = parts[1]
        arguments.farSum = parts[2]
        func launch(_ name: String, _ list: TileLists.List, depth: Int = 1) {
          tiling.launch("hierarchical_forward", name, arguments, placed[list], depth: depth)
        }
        for list in means { launch("hierarchical_means", list, depth: 2) }
        launch("hierarchical_far_forward", farList)
        launch("hierarchical_forward", positions)
      }
    }
  }

  /// The tiles with the far rows that a tile of positions needs, sixteen far rows for each.
  private func farTiles(
    _ sequence: TiledSequence, of tile: AttentionTile, after count: Int
  ) -> [AttentionTile] {
    let block = Int(tile.row) / shape.blockSize
    var tiles: [AttentionTile] = []
    var level = HierarchicalPlan.nearLevels + 1
    while block >> level > 0 {
      let row = Int(tile.row) >> level
      var far = sequence.tile(
        level: level, row: row / TiledSequence.tileRows * TiledSequence.tileRows)
      far.out = Int32(TiledSequence.tileRows * (count + tiles.count))
      tiles.append(far)
      level += 1
    }
    return tiles
  }
}
