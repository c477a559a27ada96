package import Deterministic
import Synchronization
package import Tensor

/// The kernels, and beside them a count of the multiplications and additions of all matrix products.
package final class CountingKernels: SoftmaxAttentionKernels {
  private let kernels: any SoftmaxAttentionKernels
  private let counted = Atomic<Int>(0)

  package init(_ kernels: any SoftmaxAttentionKernels) { self.kernels = kernels }

  /// Floating-point operations of matrix products so far; attention is not among them.
  package var flops: Int { counted.load(ordering: .relaxed) }

  private func count(_ times: Int, _ rows: Int, _ w: View) {
    counted.wrappingAdd(2 * times * rows * w.rows * w.columns, ordering: .relaxed)
  }

  // MARK: Counted

  package func linearForward(y: View, x: View, w: View, accumulate: Bool) {
    count(1, x.rows, w)
    kernels.linearForward(y: y, x: x, w: w, accumulate: accumulate)
  }

  package func linearBackwardInput(dx: View, dy: View, w: View, accumulate: Bool) {
    count(1, dy.rows, w)
    kernels.linearBackwardInput(dx: dx, dy: dy, w: w, accumulate: accumulate)
  }

  package func linearBackwardWeight(dw: View, dy: View, x: View) {
    count(1, dy.rows, dw)
    kernels.linearBackwardWeight(dw: dw, dy: dy, x: x)
  }

  package func crossEntropyForward(nllNats: View, hidden: View, w: View, targets: Indices) {
    count(1, hidden.rows, w)
    kernels.crossEntropyForward(nllNats: nllNats, hidden: hidden, w: w, targets: targets)
  }

  package func crossEntropyForwardBackward(
    nllNats: View, dHidden: View, dw: View, hidden: View, w: View, targets: Indices,
    gradientScale: Float
  ) {
    count(3, hidden.rows, w)
    kernels.crossEntropyForwardBackward(
      nllNats: nllNats, dHidden: dHidden, dw: dw, hidden: hidden, w: w, targets: targets,
      gradientScale: gradientScale)
  }

  // MARK: Passed on

  package func embeddingForward(y: View, ids: Indices, table: View) {
    kernels.embeddingForward(y: y, ids: ids, table: table)
  }

  package func embeddingBackward(dTable: View, dy: View, ids: Indices) {
    kernels.embeddingBackward(dTable: dTable, dy: dy, ids: ids)
  }

  package func addBias(x: View, bias: View) { kernels.addBias(x: x, bias: bias) }

  package func addBiasBackward(dBias: View, dy: View) {
    kernels.addBiasBackward(dBias: dBias, dy: dy)
  }

  package func repeatHeads(y: View, x: View, headWidth: Int) {
    kernels.repeatHeads(y: y, x: x, headWidth: headWidth)
  }

  package func repeatHeadsBackward(dx: View, dy: View, headWidth: Int) {
    kernels.repeatHeadsBackward(dx: dx, dy: dy, headWidth: headWidth)
  }

  package func rmsNormForward(y: View, rstd: View, x: View, gain: View, epsilon: Float) {
    kernels.rmsNormForward(y: y, rstd: rstd, x: x, gain: gain, epsilon: epsilon)
  }

  package func rmsNormBackward(
    dx: View, dGain: View, dy: View, x: View, gain: View, rstd: View
  ) {
    kernels.rmsNormBackward(dx: dx, dGain: dGain, dy: dy, x: x, gain: gain, rstd: rstd)
  }

  package func rotary(
    x: View, positions: Indices, headWidth: Int, theta: Double, inverse: Bool
  ) {
    kernels.rotary(
      x: x, positions: positions, headWidth: headWidth, theta: theta, inverse: inverse)
  }

  package func addSinusoidal(x: View, positions: Indices, amplitude: Double) {
    kernels.addSinusoidal(x: x, positions: positions, amplitude: amplitude)
  }

  package func swiGLUForward(y: View, gateUp: View) {
    kernels.swiGLUForward(y: y, gateUp: gateUp)
  }

  package func swiGLUBackward(dGateUp: View, y: View, dy: View, gateUp: View) {
    kernels.swiGLUBackward(dGateUp: dGateUp, y: y, dy: dy, gateUp: gateUp)
  }

  package func residualAdd(x: View, y: View) { kernels.residualAdd(x: x, y: y) }

  package func dropout(x: View, probability: Float, random: CounterRandom, rowOffset: Int) {
    kernels.dropout(x: x, probability: probability, random: random, rowOffset: rowOffset)
  }

  package func adamW(
    parameters: View, gradients: View, firstMoment: View, secondMoment: View, _ step: AdamWStep
  ) {
    kernels.adamW(
      parameters: parameters, gradients: gradients, firstMoment: firstMoment,
      secondMoment: secondMoment, step)
  }

  package func muon(_ matrices: [MuonMatrix], _ step: MuonStep) {
    kernels.muon(matrices, step)
  }

  package func moveRows(
    table: View, squares: View, gradients: View, rows: Indices, rate: Float
  ) {
    kernels.moveRows(
      table: table, squares: squares, gradients: gradients, rows: rows, rate: rate)
  }

  package func moveAverage(_ average: View, towards x: View, share: Float) {
    kernels.moveAverage(average, towards: x, share: share)
  }

  package func sumOfSquares(_ x: View) throws(DeviceError) -> Double {
    try kernels.sumOfSquares(x)
  }

  package func softmaxAttention(
    _ shape: SoftmaxShape
  ) throws(DeviceError) -> any AttentionOperator {
    try kernels.softmaxAttention(shape)
  }
}

// MARK: Memory

extension CountingKernels {
  package var name: String { kernels.name }
  package var promises: Promises { kernels.promises }
  package var headLayout: HeadLayout { kernels.headLayout }
  package var headsAreTasks: Bool { kernels.headsAreTasks }

  package func type(for use: NumberUse) -> NumberType { kernels.type(for: use) }

  package func makeBuffer(count: Int, for use: NumberUse) throws(DeviceError) -> Buffer {
    try kernels.makeBuffer(count: count, for: use)
  }

  package func bytes(count: Int, for use: NumberUse) -> Int {
    kernels.bytes(count: count, for: use)
  }

  package var freeBytes: Int? { kernels.freeBytes }

  package func borrow(
    _ bytes: UnsafeRawBufferPointer, type: NumberType, release: @escaping @Sendable () -> Void
  ) -> Buffer? {
    kernels.borrow(bytes, type: type, release: release)
  }

  package func fill(_ x: View, with value: Float) { kernels.fill(x, with: value) }

  package func copy(_ source: View, to destination: View) { kernels.copy(source, to: destination) }

  package func read(_ x: View, into numbers: inout [Float]) throws(DeviceError) {
    try kernels.read(x, into: &numbers)
  }

  package func write(_ numbers: [Float], to x: View) throws(DeviceError) {
    try kernels.write(numbers, to: x)
  }

  package func write(
    _ bytes: UnsafeRawBufferPointer, type: NumberType, to x: View
  ) throws(DeviceError) {
    try kernels.write(bytes, type: type, to: x)
  }

  package func withMutableFloats(
    of x: View, reading read: [Range<Int>], writing written: [Range<Int>],
    _ body: (UnsafeMutableRawBufferPointer) throws -> Void
  ) throws {
    try kernels.withMutableFloats(of: x, reading: read, writing: written, body)
  }

  package func makeSibling() throws(DeviceError) -> any Kernels { try kernels.makeSibling() }

  package func mark() throws(DeviceError) -> WorkMark? { try kernels.mark() }

  package func follow(_ mark: WorkMark?) { kernels.follow(mark) }

  package func withFloats(of x: View, _ body: (UnsafeRawBufferPointer) throws -> Void) throws {
    try kernels.withFloats(of: x, body)
  }

  package func place(_ numbers: [Int32]) throws(DeviceError) -> Indices {
    try kernels.place(numbers)
  }

  package func synchronize() throws(DeviceError) { try kernels.synchronize() }

  package func workingNeed(_ body: () -> Void) -> WorkingNeed { kernels.workingNeed(body) }

  package func workingBytes(_ plan: WorkPlan) -> Int { kernels.workingBytes(plan) }

  package func reserveWorkingMemory(_ plan: WorkPlan) throws(DeviceError) {
    try kernels.reserveWorkingMemory(plan)
  }

  package func releaseWorkingMemory() { kernels.releaseWorkingMemory() }
}
