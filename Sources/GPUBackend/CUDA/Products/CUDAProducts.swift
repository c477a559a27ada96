import CCUDA
import Foundation
import Tensor

/// Matrix products of a card; every kind of product has one algorithm, which has passed a test.
final class CUDAProducts: @unchecked Sendable {
  private let library: ProductLibrary
  private let transfer: CUDATransfer
  private let lock = NSLock()
  // Touched under `lock` alone.
  private var pinned: [ProductKind: ProductLibrary.Candidate] = [:]
  private var oneByOne: Set<ProductKind> = []

  init(_ transfer: CUDATransfer, _ functions: CUBLASLtFunctions) throws(DeviceError) {
    self.transfer = transfer
    let bytes = ProductLibrary.workspaceBytes
    let workspace = try transfer.memory.allocate(bytes: bytes)
    do throws(DeviceError) {
      library = try ProductLibrary(transfer.context, functions, workspace: workspace)
    } catch {
      transfer.memory.free(workspace, bytes: bytes)
      throw error
    }
  }

  deinit { transfer.memory.free(library.workspace, bytes: ProductLibrary.workspaceBytes) }

  /// Numbers of the algorithms that are pinned, by kind.
  var algorithms: [String: Int] {
    lock.withLock {
      Dictionary(
        uniqueKeysWithValues: pinned.map {
          ("\($0)", library.configuration($1, CUBLASLT_ALGO_CONFIG_ID))
        })
    }
  }

  /// Computes a product of two matrices of one type, all of whose rows begin on 16 bytes.
  func multiply(_ product: GPUProduct) throws(DeviceError) {
    let kind = ProductKind(product)
    guard let algorithm = try algorithm(kind) else {
      // None computes any number of parts with the same bits: each is a product by itself, always.
      for part in 0..<product.parts { try multiply(product.alone(part)) }
      return
    }
    let context = transfer.context
    let status = library.multiply(
      kind, algorithm, c: Self.operand(product.c, product.parts),
      a: Self.operand(product.a.view, product.parts),
      b: Self.operand(product.b.view, product.parts), accumulate: product.accumulate)
    guard status != CUBLAS_STATUS_SUCCESS else { return }
    // If the card has failed, that says more than the library's status.
    try context.check()
    throw .failed(
      device: context.card.name,
      problem: "cuBLASLt \(library.version) refused the product \(kind) of \(product.c.rows) rows "
        + "(status \(status)); run scripts/setup.sh --cuda for another version")
  }

  /// Matrices as they lie in memory; of one row the stride is nobody's business.
  private static func operand(_ view: View, _ parts: Int) -> ProductLibrary.Operand {
    let type = view.buffer.type
    return ProductLibrary.Operand(
      address: view.address, type: type, rows: view.rows / parts, columns: view.columns,
      stride: view.rows <= 1 ? ProductLibrary.stride(view.columns, type) : view.stride,
      parts: parts)
  }

  /// - Returns: Nil for parts that no algorithm keeps independent of each other.
  private func algorithm(
    _ kind: ProductKind
  ) throws(DeviceError) -> ProductLibrary.Candidate? {
    lock.lock()
    defer { lock.unlock() }
    if let known = pinned[kind] { return known }
    if oneByOne.contains(kind) { return nil }
    let test = ProductTest(library: library, transfer: transfer, kind: kind)
    let candidates = library.candidates(kind)
    for candidate in candidates where try test.passes(candidate) {
      pinned[kind] = candidate
      return candidate
    }
    try transfer.context.check()
    if kind.partsAreIndependent {
      oneByOne.insert(kind)
      return nil
    }
    let found =
      candidates.isEmpty
      ? "proposes no algorithm for"
      : "proposes \(candidates.count) algorithms, none of which keeps its bits, for"
    throw .failed(
      device: transfer.context.card.name,
      problem:
        "cuBLASLt \(library.version) \(found) the product \(kind); run scripts/setup.sh --cuda "
        + "for another version")
  }
}
