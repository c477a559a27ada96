import Deterministic
import Foundation
package import Tensor

/// A card by NVIDIA, through libraries that are opened when it is asked for.
///
/// All work of a driver goes through one stream. A step has some 300 launches of about 4 µs each, which the card's
/// own work hides, so they are not gathered in graphs: every batch has other shapes, and a graph for
/// each would cost more than it saves.
package final class CUDADriver: GPUDriver {
  package let card: CUDACard
  let context: CUDAContext
  let libraries: CUDALibraries
  private let transfer: CUDATransfer
  private let kernels: CUDAKernels
  /// Nil of a sibling.
  private let products: CUDAProducts?
  private let library: KernelLibrary

  /// Opens a card.
  ///
  /// - Parameters:
  ///   - number: Of the card, from 0.
  ///   - search: Where the libraries are looked for.
  ///   - cache: Where compiled kernels are kept.
  /// - Throws: `DeviceError` if the card or a library is missing, or does not work.
  package init(
    card number: Int, search: LibrarySearch = LibrarySearch(), cache: KernelCache = KernelCache()
  ) throws(DeviceError) {
    libraries = try CUDALibraries(search)
    card = try CUDACard.usable(number, libraries)
    // Both before the card is opened: what is missing shows at once.
    let compiler = try KernelCompiler(libraries.openCompiler(), for: card.capability)
    let productFunctions = try libraries.openProducts()
    context = try CUDAContext(card, libraries.driver)
    transfer = try CUDATransfer(context)
    library = KernelLibrary(compiler, cache: cache, threads: Parallel.processorCount)
    library.announce(Self.common)
    kernels = CUDAKernels(context, library)
    products = try CUDAProducts(transfer, productFunctions)
  }

  /// The same card, with a stream of its own, whose work is short beside that of the other.
  private init(beside other: CUDADriver) throws(DeviceError) {
    libraries = other.libraries
    card = other.card
    context = try CUDAContext(card, libraries.driver, isUrgent: true)
    transfer = try CUDATransfer(context)
    library = other.library
    kernels = CUDAKernels(context, library)
    products = nil
  }

  /// Files that every model needs; what else a run needs is announced when it is planned.
  private static let common = [
    "memory", "embedding", "rms_norm", "residual", "swiglu", "cross_entropy", "sum_rows",
  ].map { KernelModule($0) }

  package var name: String { card.name }

  /// Bytes in use, all of this driver's own included.
  package var heldBytes: Int { transfer.memory.held }

  package var freeBytes: Int? { transfer.memory.room().free }

  /// Files compiled so far; those from the cache are left out.
  package var compiledFiles: Int { library.compiledCount }

  /// Files that have been asked for and are there.
  package var readyFiles: Int { library.readyCount }

  /// Numbers of the algorithms of all kinds of products so far.
  package var algorithms: [String: Int] { products?.algorithms ?? [:] }

  package func prepare(_ kernels: [GPUKernel]) { library.announce(kernels.map(KernelModule.init)) }

  package func allocate(bytes: Int) throws(DeviceError) -> UnsafeMutableRawPointer {
    try transfer.memory.allocate(bytes: bytes)
  }

  /// What the largest test of a product takes for a moment; the workspace is taken since the card was
  /// opened, and nobody's free memory.
  package func ownBytes(_ products: [GPUProductSize]) -> Int {
    products.map(ProductTest.bytes).max() ?? 0
  }

  package func free(_ address: UnsafeMutableRawPointer, bytes: Int) {
    transfer.memory.free(address, bytes: bytes)
  }

  package func fill(_ address: UnsafeMutableRawPointer, word: UInt32, count: Int) {
    transfer.fill(address, word: word, count: count)
  }

  package func copyIn(_ source: UnsafeRawBufferPointer, to address: UnsafeMutableRawPointer) {
    transfer.copyIn(source, to: address)
  }

  package func copyOut(
    _ address: UnsafeRawPointer, into target: UnsafeMutableRawBufferPointer
  ) throws(DeviceError) {
    try transfer.copyOut(address, into: target)
  }

  package func launch(
    _ kernel: GPUKernel, grid: GPUGrid, block: Int, sharedBytes: Int,
    arguments: UnsafeMutableBufferPointer<UnsafeMutableRawPointer?>
  ) {
    kernels.launch(
      kernel, grid: grid, block: block, sharedBytes: sharedBytes, arguments: arguments)
  }

  package func product(_ product: GPUProduct) {
    guard let products else { preconditionFailure("a product beside other work") }
    guard context.isSound, product.c.count > 0 else { return }
    if product.depth == 0 {
      if !product.accumulate { fillWithZeros(product.c) }
      return
    }
    do throws(DeviceError) {
      try withFittingOperands(product) { (product) throws(DeviceError) in
        try products.multiply(product)
      }
    } catch {
      context.fail(error)
    }
  }

  package func fail(_ error: DeviceError) { context.fail(error) }

  package func check() throws(DeviceError) { try context.check() }

  package func synchronize() throws(DeviceError) { try context.synchronize() }

  package func releaseMemory() { transfer.memory.trim() }

  package func makeSibling() throws(DeviceError) -> any GPUDriver { try CUDADriver(beside: self) }

  package func mark() throws(DeviceError) -> WorkMark? {
    WorkMark(try CUDAMark(context))
  }

  package func follow(_ mark: WorkMark?) {
    guard let mark else { return }
    guard let point = mark.point as? CUDAMark else {
      preconditionFailure("a mark of another device")
    }
    point.hold(context)
  }
}
