import { be32Field, schema, textField, type WithOther } from '../netlink/schema.js';
import { NFTA_GEN_ID, NFTA_GEN_PROC_NAME, NFTA_GEN_PROC_PID } from './constants.js';

/** The ruleset's generation: a number that every commit raises, and who committed. */
export interface Generation extends WithOther {
  id: number;
  processId?: number;
  processName?: string;
}

export const generationSchema = schema<Generation>(
  'generation',
  {
    id: be32Field(NFTA_GEN_ID),
    processId: be32Field(NFTA_GEN_PROC_PID),
    processName: textField(NFTA_GEN_PROC_NAME),
  },
  ['id'],
);
