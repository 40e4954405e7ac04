/** Captures every fixture anew. scripts/capture-fixtures.sh runs it, in a network namespace of its own. */
import { captureAnswers } from './capture-answers.js';
import { captureLinks } from './capture-links.js';
import { capturePolicy } from './capture-policy.js';
import { captureRulesets } from './capture-rulesets.js';

captureRulesets();
captureLinks();
captureAnswers();
capturePolicy();
