import { parseDeviceTableName } from '#src/program/name.js';
import { parseRecord } from '#src/program/record.js';
import { testHostileBytes } from '../fixtures-support/hostile.js';

// Neither refuses anything: what is no record of tapwall's is somebody else's.
testHostileBytes([
  { name: 'parseRecord', input: 'attributes', decode: parseRecord, neverThrows: true },
  {
    name: 'parseDeviceTableName',
    input: 'attributes',
    decode: (bytes) => parseDeviceTableName(Buffer.from(bytes).toString('latin1')),
    neverThrows: true,
  },
]);
