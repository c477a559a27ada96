import Tensor
import Testing

/// An attention that a card's kernels do by tiles of 16 rows, and a batch for it.
struct TileCase: Sendable, CustomTestStringConvertible {
  enum Kind: Sendable {
    case softmax(biasLength: Int?)
    case hierarchical(blockSize: Int, isFine: Bool)
  }

  let kind: Kind
  let lengths: [Int]
  var width = 64
  var heads = 2

  var testDescription: String { "\(kind), heads of \(width)" }

  /// Columns of queries, keys or values.
  var columns: Int { heads * width }

  var starts: [Int] { lengths.reduce(into: [0]) { $0.append(($0.last ?? 0) + $1) } }

  var biasLength: Int? {
    switch kind {
    case .softmax(let length): length
    case .hierarchical(let size, _): 2 * size
    }
  }

  /// The same attention of other sequences.
  func with(lengths: [Int]) -> TileCase {
    TileCase(kind: kind, lengths: lengths, width: width, heads: heads)
  }

  func attention(on kernels: any Kernels) throws -> any AttentionOperator {
    let scale = 1 / Float(width).squareRoot()
    switch kind {
    case .softmax:
      return try #require(kernels as? any SoftmaxAttentionKernels).softmaxAttention(
        SoftmaxShape(heads: heads, scale: scale))
    case .hierarchical(let size, let isFine):
      return try #require(kernels as? any HierarchicalAttentionKernels).hierarchicalAttention(
        HierarchicalShape(heads: heads, scale: scale, blockSize: size, fineQuery: isFine))
    }
  }

  /// Lengths on both sides of a tile, a block, a block of threads, and of every level up to 4.
  private static let ragged = [1, 2, 15, 16, 17, 31, 33, 0, 64, 65, 100, 130, 257]
  private static let some = [1, 17, 70, 0, 150]

  static let all = [
    TileCase(kind: .softmax(biasLength: 40), lengths: ragged),
    TileCase(kind: .softmax(biasLength: nil), lengths: some, width: 32),
    TileCase(kind: .softmax(biasLength: 9), lengths: some, width: 48),
    TileCase(kind: .hierarchical(blockSize: 16, isFine: false), lengths: ragged),
    TileCase(kind: .hierarchical(blockSize: 16, isFine: true), lengths: ragged, width: 32),
    TileCase(kind: .hierarchical(blockSize: 16, isFine: false), lengths: some, width: 48),
    TileCase(kind: .hierarchical(blockSize: 32, isFine: false), lengths: ragged, width: 32),
    TileCase(kind: .hierarchical(blockSize: 64, isFine: true), lengths: some),
  ]

  /// Two launches of means, eight levels, and chunks of far keys that are added.
  static let long = [700, 4_500].flatMap { length in
    [
      TileCase(kind: .softmax(biasLength: nil), lengths: [length], width: 32, heads: 1),
      TileCase(
        kind: .hierarchical(blockSize: 16, isFine: false), lengths: [length], width: 32, heads: 1),
      TileCase(
        kind: .hierarchical(blockSize: 16, isFine: true), lengths: [length], width: 32, heads: 1),
    ]
  }
}
