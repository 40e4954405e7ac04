/**
 * What another Node service imports.
 *
 * @example
 * const agent = await Agent.start(loadConfiguration('/etc/tapwall/tapwall.yaml'));
 * agent.on('event', (event) => { if (event.event === 'failed') alarm(event.device, event.error); });
 */
export {
  type Abortable,
  type AdmitOptions,
  Agent,
  type AgentEvents,
  type AgentOptions,
} from './agent/agent.js';
export type { CensusLine } from './agent/census.js';
export type { Count } from './agent/counters.js';
export type { DeviceState } from './agent/device.js';
export type { AgentEvent, DetachReason, EventDevice, EventError, Happening } from './agent/event.js';
export type { EventStreamOptions, MissedEvents, StreamedEvent } from './agent/event-stream.js';
export { AgentLoop, type LoopOptions, type Ready, type Turn } from './agent/loop.js';
export { type AttachResult, type DetachResult, Hand } from './agent/manual.js';
export type { NamespaceStatus, VisitNamespace } from './agent/namespace-directory.js';
export { choosePlacement, type PlacementCapabilities, probePlacement } from './agent/placement.js';
export {
  type CompileCapabilities,
  compilePlan,
  type Marks,
  type Plan,
  type PlanOptions,
} from './agent/plan.js';
export type {
  AgentRequest,
  DeviceAnswer,
  DeviceRequest,
  DeviceSelector,
  ToldDevice,
} from './agent/request.js';
export {
  type DeviceStatus,
  type DirectionCounts,
  readStatus,
  type Status,
  statusIn,
} from './agent/status.js';
export { TALLIED, type Tallied, Tally } from './agent/tally.js';
export {
  type Compiled,
  type CompileOptions,
  Compiler,
  type CompilerOptions,
  type Listing,
  type PolicySource,
} from './compiler/compiler.js';
export type {
  AssignedAddress,
  Binding,
  Configuration,
  ControlSettings,
  DeviceSelection,
  EgressRequirement,
  FilePolicy,
  GuardName,
  InlinePolicy,
  Limits,
  MetricsSettings,
  NamedSet,
  Placement,
  Policy,
  PolicyText,
  Rate,
  SetFlag,
  Unmatched,
  Variables,
  Verdict,
} from './config/configuration.js';
export type { ListenAddress } from './config/listen.js';
export { loadConfiguration, parseConfiguration } from './config/load.js';
export { createConfiguration } from './config/object.js';
export type { ConfigurationObject } from './config/whole-schema.js';
export {
  type AdmitRequest,
  type BodyOf,
  ControlClient,
  type ControlClientOptions,
  type DeviceName,
  type FollowOptions,
} from './control/client.js';
export { Control, type ControlOptions } from './control/control.js';
export type { PolicyDescription } from './control/policies.js';
export type {
  AdmitResult,
  HelloResult,
  ListResult,
  NamespaceResult,
  RequestBody,
  StatusResult,
} from './control/protocol.js';
export {
  ERROR_CODES,
  type ErrorCode,
  type Problem,
  SourceError,
  type SourceLocation,
  TapwallError,
  type TapwallErrorOptions,
} from './error.js';
export { type Doubt, doubtMessage, type Judge } from './files/trust.js';
export {
  FakeKernel,
  type FakeKernelOptions,
  type FakeLinkChanges,
  type FakeLinkOptions,
  type FakeOperation,
  type FakeRefusal,
  type FakeTable,
  type FakeTransaction,
} from './kernel/fake.js';
export type {
  Arrivals,
  Kernel,
  NamespaceHandle,
  Poller,
  Readiness,
  SocketOptions,
  Waker,
} from './kernel/kernel.js';
export { linuxKernel } from './kernel/linux.js';
export { type KernelCapabilities, probeKernel } from './kernel/probe.js';
export type { Link } from './links/link.js';
export { AgentMetrics, type AgentMetricsOptions, type MeteredAgent } from './metrics/agent-metrics.js';
export { METRICS, type MetricDescription, type MetricName } from './metrics/catalogue.js';
export type { ExtendedAck } from './netlink/acknowledgement.js';
export { isKernelError, KernelError } from './netlink/error.js';
export type { PackedElements } from './nftables/packed-elements.js';
export type { Program } from './program/program.js';
export type { Origin, Ownership } from './program/slot.js';
